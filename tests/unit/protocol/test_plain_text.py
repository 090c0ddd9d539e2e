"""Texts that people read: nothing in them hides or reorders what is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.plain_text import parse_plain_text


@pytest.mark.parametrize("text", ["Ann Ödegård", "山田 太郎", "O'Brien & Sons (Ltd.)", "a", "Nguye\u0302\u0303n"])
def test_names_of_the_world_are_kept(text: str) -> None:
    """Names in any script pass unchanged."""
    assert parse_plain_text(text) == text


@pytest.mark.parametrize(
    "hidden",
    [
        *("\n", "\x1b", "\x7f", "\u202e", "\u200b", "\u2066", "\ufeff", "\u2028", "\ud800", "\ue000"),
        *("\u034f", "\u115f", "\u3164", "\u2800", "\ufe0f", "\uffa0", "\U000e0100"),
    ],
)
def test_hidden_characters_are_refused(hidden: str) -> None:
    """Control, bidirectional, zero-width and unassigned characters are refused wherever they stand."""
    for text in (hidden, f"Ann{hidden}", f"{hidden}Ann", f"A{hidden}nn"):
        with pytest.raises(ValueError, match=r"control or hidden"):
            parse_plain_text(text)


def test_heaps_of_marks_are_refused() -> None:
    """Marks that pile up on one letter, and so over the lines around it, are refused; four are kept."""
    assert parse_plain_text("Z" + "\u0301" * 4 + "a\u0301")
    with pytest.raises(ValueError, match="more than 4 marks"):
        parse_plain_text("Z" + "\u0301" * 5)


@pytest.mark.parametrize(
    "text",
    [
        "please  may do",
        " please",
        "please ",
        "please\u00a0may",
        "山田\u3000太郎",
        "a\u2003b",
        "please" + " " * 70 + "for",
    ],
)
def test_only_single_plain_spaces(text: str) -> None:
    """Spaces that could push words to the beginning of a line are refused."""
    with pytest.raises(ValueError, match="single plain spaces"):
        parse_plain_text(text)


@pytest.mark.parametrize("text", ["", " ", "\u00a0\u3000"])
def test_blank_text_is_refused(text: str) -> None:
    """A text of nothing but spaces says nothing."""
    with pytest.raises(ValueError, match="empty"):
        parse_plain_text(text)


@given(st.text())
def test_what_passes_prints(text: str) -> None:
    """Whatever passes is printable but for the kinds of space."""
    try:
        parse_plain_text(text)
    except ValueError:
        return
    assert all(character.isprintable() or character.isspace() for character in text)
