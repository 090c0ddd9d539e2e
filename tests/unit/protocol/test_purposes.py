"""Purposes, tickets and notes."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.purposes import MAX_NOTE, MAX_TICKET, Purpose, parse_note, parse_ticket, require_ticket


def test_the_purposes_are_a_closed_set() -> None:
    """There are the four purposes, each with a meaning of its own for people."""
    assert {purpose.value for purpose in Purpose} == {
        "support_request",
        "maintenance",
        "terms_of_use",
        "legal_requirement",
    }
    assert len({purpose.meaning for purpose in Purpose}) == len(Purpose)
    with pytest.raises(ValueError, match="curiosity"):
        Purpose("curiosity")


@pytest.mark.parametrize("purpose", Purpose)
def test_only_a_support_request_needs_a_ticket(purpose: Purpose) -> None:
    """Without a ticket, a support request is refused with what to add; the others stand; with one, all stand."""
    require_ticket(purpose, "SUP-1042")
    if purpose is Purpose.SUPPORT_REQUEST:
        with pytest.raises(ValueError, match="--ticket"):
            require_ticket(purpose, None)
    else:
        require_ticket(purpose, None)


@pytest.mark.parametrize("text", ["SUP-1042", "1", "acme/pbx#12", "A.b_c-d/e#f", "x" * MAX_TICKET])
def test_references_of_tickets_are_accepted(text: str) -> None:
    """References as ticket systems write them are kept as they are."""
    assert parse_ticket(text) == text


@pytest.mark.parametrize(
    "text", ["", " ", "SUP 1042", "SUP-1042\n", "-1", "#12", "x" * 65, "joe@example.com", "<b>", "Ä-1", "a\x00", "٣"]
)
def test_other_text_is_no_ticket(text: str) -> None:
    """Space, markup, addresses and anything long is refused, with what is allowed."""
    with pytest.raises(ValueError, match="not a ticket reference"):
        parse_ticket(text)


def test_a_long_ticket_is_not_repeated_whole() -> None:
    """The error about a huge ticket is short."""
    with pytest.raises(ValueError, match="not a ticket reference") as caught:
        parse_ticket("x" * 100_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text",
    [
        "no sound on extension 204 since the update to 18.2",
        "trunk 2 of 30 is down, see SUP-1042",
        "Störung beim Anrufbeantworter — bitte prüfen",
        "port 5060 is closed",
        "100 % CPU",
        "x" * MAX_NOTE,
    ],
)
def test_plain_notes_are_kept(text: str) -> None:
    """Notes about the work, with small numbers in them, are kept as they are."""
    assert parse_note(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "call 5551234",
        "call +49 30 1234567 please",
        "(555) 123-4567",
        "555.123.4567",
        "0 3 0 1 2 3 4",
        "٠٣٠١٢٣٤٥",
    ],
)
def test_what_looks_like_a_phone_number_is_refused(text: str) -> None:
    """Seven digits and more, however they are grouped, are taken for a phone number."""
    with pytest.raises(ValueError, match="phone number"):
        parse_note(text)


@pytest.mark.parametrize("text", ["4111111111111111", "card 4111 1111 1111 1111", "3782-822463-10005", "4222222222222"])
def test_what_looks_like_a_card_number_is_refused(text: str) -> None:
    """Thirteen digits and more, however they are grouped, are taken for a card number."""
    with pytest.raises(ValueError, match="card number"):
        parse_note(text)


@pytest.mark.parametrize("text", ["joe@example.com", "ask joe.doe+x@mail.example.co.uk now", "<joe@pbx.local>"])
def test_what_looks_like_an_address_is_refused(text: str) -> None:
    """E-mail addresses are refused."""
    with pytest.raises(ValueError, match="e-mail address"):
        parse_note(text)


@pytest.mark.parametrize("text", ["two\nlines", "bell\x07", "\x1b[31mred", "delete\x7f", "c1\x9b31m", "a\u2028b"])
def test_control_characters_are_refused(text: str) -> None:
    """What could break a line or drive a terminal is refused."""
    with pytest.raises(ValueError, match="control or hidden"):
        parse_note(text)


def test_a_long_note_is_refused() -> None:
    """A note of 201 characters is refused, with its length."""
    with pytest.raises(ValueError, match="has 201 characters"):
        parse_note("x" * (MAX_NOTE + 1))


@given(st.text(max_size=MAX_NOTE + 20))
def test_an_accepted_note_holds_no_long_number(text: str) -> None:
    """Whatever is accepted is unchanged, short, on one line, and has no seven digits in a row."""
    try:
        note = parse_note(text)
    except ValueError:
        return
    assert note == text
    assert len(note) <= MAX_NOTE
    assert "\n" not in note
    run = 0
    for character in note:
        run = run + 1 if character.isdecimal() else 0
        assert run < 7


def test_a_hostile_note_takes_no_time() -> None:
    """The checks stay quick on the longest notes that provoke them."""
    for text in ("1 " * 100, "1-()" * 50, "a@" * 100, "@" * 200, "a" * 200):
        with suppress(ValueError):
            parse_note(text)


@pytest.mark.parametrize(
    "text",
    ["since 2026-11-24", "registers from 192.168.10.25", "10.0.0.1 and 10.0.0.2 flap", "Asterisk 20.5.2, 3 trunks"],
)
def test_dates_addresses_and_versions_are_no_phone_numbers(text: str) -> None:
    """What an engineer ordinarily writes about a server passes."""
    assert parse_note(text) == text


@pytest.mark.parametrize(
    "text", ["555\u2013123\u20134567", "555_123_4567", "jane\uff20example.test", "zero\u200bwidth"]
)
def test_disguises_are_seen_through(text: str) -> None:
    """Other dashes, full-width signs and hidden characters do not carry content past the check."""
    with pytest.raises(ValueError, match="the note"):
        parse_note(text)


def test_a_card_number_is_no_ticket() -> None:
    """A card number is not taken for a ticket's reference."""
    with pytest.raises(ValueError, match="card number"):
        parse_ticket("4111111111111111")
