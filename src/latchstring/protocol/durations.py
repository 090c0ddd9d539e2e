"""Durations as people write them: ``90s``, ``30m``, ``2h``, ``1d``, ``1h30m``."""

import re
from typing import Final

_PART = re.compile(r"([0-9]{1,7})([smhd])")
_WHOLE = re.compile(r"(?:[0-9]{1,7}[smhd])+")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> int:
    """Return the seconds that ``text`` means.

    Raises:
        ValueError: it is no duration, or zero.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a duration; write it like 90s, 30m, 2h or 1h30m")
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if seconds == 0:
        raise ValueError("a duration must be longer than zero")
    return seconds


def format_duration(seconds: int) -> str:
    """Return ``seconds`` in the form that :func:`parse_duration` reads, such as ``1h30m``."""
    if seconds <= 0:
        return "0s"
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, seconds = divmod(seconds, _SECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
