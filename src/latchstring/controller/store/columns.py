"""Column types that mean the same on every engine."""

from datetime import datetime
from typing import Any

from sqlalchemy import Dialect, String
from sqlalchemy.types import TypeDecorator

from latchstring.protocol.times import format_time, parse_time

TIME_CHARACTERS = 24
"""The length of ``2026-11-24T09:30:00.125Z``."""


class UtcTime(TypeDecorator[datetime]):
    """An aware time, kept to the millisecond as the RFC 3339 text that travels; texts sort as times do."""

    impl = String(TIME_CHARACTERS)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Return the text to store."""
        del dialect
        return None if value is None else format_time(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Return the time that was stored."""
        del dialect
        return None if value is None else parse_time(value)


class Names(TypeDecorator[tuple[str, ...]]):
    """A short list of words without spaces, such as capabilities, in one text."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:
        """Return the text to store."""
        del dialect
        return None if value is None else " ".join(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> tuple[str, ...] | None:
        """Return the words that were stored."""
        del dialect
        return None if value is None else tuple(value.split(" "))
