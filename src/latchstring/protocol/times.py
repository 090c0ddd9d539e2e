"""Points in time as they travel: RFC 3339 in UTC with milliseconds, ``2026-11-24T09:30:00.125Z``."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator

_FORM = re.compile(r"[0-9]{4}-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]\.[0-9]{3}Z")


def format_time(moment: datetime) -> str:
    """Return an aware ``moment`` as text.

    Raises:
        ValueError: it has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot travel")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Return the aware moment that ``text`` names.

    Raises:
        ValueError: it is not of the one form that travels.
    """
    if not _FORM.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a time such as 2026-11-24T09:30:00.125Z")
    return datetime.fromisoformat(text)


def _check(text: str) -> str:
    parse_time(text)
    return text


Timestamp = Annotated[str, AfterValidator(_check)]
"""The text of a moment, validated."""
