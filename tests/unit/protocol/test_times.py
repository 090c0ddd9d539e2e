"""Points in time as they travel."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.times import format_time, parse_time


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_round_trip(moment: datetime) -> None:
    """A moment survives to the millisecond."""
    assert abs(parse_time(format_time(moment)) - moment) < timedelta(milliseconds=1)


def test_other_zones_travel_as_utc() -> None:
    """The zone is folded into UTC."""
    berlin = timezone(timedelta(hours=2))
    assert format_time(datetime(2026, 7, 1, 12, 0, tzinfo=berlin)) == "2026-07-01T10:00:00.000Z"


def test_naive_times_are_refused() -> None:
    """A time without a zone means nothing elsewhere."""
    with pytest.raises(ValueError, match="zone"):
        format_time(datetime(2026, 7, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    "text", ["2026-07-01", "2026-07-01T10:00:00Z", "2026-13-01T10:00:00.000Z", "2026-07-01T10:00:00.000+00:00"]
)
def test_one_form_only(text: str) -> None:
    """Equal moments have equal text, so only one form is read."""
    with pytest.raises(ValueError, match=r"not a time|month must be"):
        parse_time(text)
