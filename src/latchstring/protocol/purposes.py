"""Why a session is opened: a closed set of purposes, a ticket and a short note."""

import re
import unicodedata
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator

from latchstring.protocol.plain_text import parse_plain_text

MAX_NOTE: Final = 200
MAX_TICKET: Final = 64

_TICKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/#-]{0,63}")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_DIGITS = re.compile(r"\d(?:[\s().,_\-/\u00b7\u2010-\u2015]*\d)*")
_NO_PHONE = re.compile(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}\b|\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b")
_CARD = re.compile(r"[0-9]{13,19}")
_PHONE_DIGITS = 7
_CARD_DIGITS = 13


class Purpose(StrEnum):
    """The reasons that a session may be opened for."""

    SUPPORT_REQUEST = "support_request"
    MAINTENANCE = "maintenance"
    TERMS_OF_USE = "terms_of_use"
    LEGAL_REQUIREMENT = "legal_requirement"

    @property
    def meaning(self) -> str:
        """One phrase for people."""
        return _MEANINGS[self]


_MEANINGS = {
    Purpose.SUPPORT_REQUEST: "the customer asked for help (needs the ticket)",
    Purpose.MAINTENANCE: "updates or performance work",
    Purpose.TERMS_OF_USE: "suspected violation of the terms of use",
    Purpose.LEGAL_REQUIREMENT: "required by law",
}


def parse_ticket(text: str) -> str:
    """Return ``text`` if it can be a ticket's reference, such as ``SUP-1042``.

    Raises:
        ValueError: it cannot.
    """
    if not _TICKET.fullmatch(text):
        raise ValueError(
            f"{text[:80]!r} is not a ticket reference; use 1 to {MAX_TICKET} letters, digits and . _ / # -, no spaces"
        )
    if _CARD.search(text):
        raise ValueError(
            "the ticket looks like a card number; the log keeps no content, so give the ticket's reference"
        )
    return text


def parse_note(text: str) -> str:
    """Return ``text`` if it is short and does not look like content.

    A note goes into logs that hold no content, so what looks like a phone number, a card number or an e-mail address
    is refused; dates (2026-11-24) and IPv4 addresses are not taken for phone numbers. This catches accidents, not
    intent.

    Raises:
        ValueError: it is too long, has control characters, or looks like content.
    """
    if len(text) > MAX_NOTE:
        raise ValueError(f"the note has {len(text)} characters; at most {MAX_NOTE} are kept")
    try:
        parse_plain_text(text)
    except ValueError as error:
        raise ValueError(f"the note cannot be kept: {error}") from error
    plain = _NO_PHONE.sub("x", unicodedata.normalize("NFKC", text))
    if _EMAIL.search(plain):
        raise ValueError("the note looks like it holds an e-mail address; the log keeps no content, so leave it out")
    for match in _DIGITS.finditer(plain):
        digits = sum(character.isdigit() for character in match.group())
        if digits >= _CARD_DIGITS:
            raise ValueError("the note looks like it holds a card number; the log keeps no content, so leave it out")
        if digits >= _PHONE_DIGITS:
            raise ValueError("the note looks like it holds a phone number; the log keeps no content, so leave it out")
    return text


def require_ticket(purpose: Purpose, ticket: str | None) -> None:
    """Check that a purpose that needs a ticket has one.

    Raises:
        ValueError: it is missing.
    """
    if purpose is Purpose.SUPPORT_REQUEST and ticket is None:
        raise ValueError("purpose support_request needs the ticket in which the customer asked: add --ticket")


Ticket = Annotated[str, AfterValidator(parse_ticket)]
Note = Annotated[str, AfterValidator(parse_note)]
