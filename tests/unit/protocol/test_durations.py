"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.durations import format_duration, parse_duration


@given(st.integers(1, 10**7))
def test_round_trip(seconds: int) -> None:
    """What is written can be read again."""
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1d", 86400)]
)
def test_known_durations(text: str, seconds: int) -> None:
    """The forms that the help shows mean what they say."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "1.5h", "-1h", "1h ", "h", "0s", "1w", "99999999s", "1h-30m", "٣s"])
def test_refused(text: str) -> None:
    """Anything else is refused with a message."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_nothing_left() -> None:
    """No time left is written as zero seconds."""
    assert format_duration(0) == format_duration(-5) == "0s"
