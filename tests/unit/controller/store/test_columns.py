"""Column types: what is stored comes back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from latchstring.controller.store.columns import Names, UtcTime

DIALECT = sqlite.dialect()


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2999, 1, 1)))  # noqa: DTZ001 - Hypothesis adds no zone
def test_times_round_trip_and_sort(naive: datetime) -> None:
    """A time comes back to the millisecond, and stored texts sort as their times do."""
    time = naive.replace(tzinfo=UTC, microsecond=naive.microsecond // 1000 * 1000)
    column = UtcTime()
    stored = column.process_bind_param(time, DIALECT)
    assert column.process_result_value(stored, DIALECT) == time
    later = column.process_bind_param(time + timedelta(milliseconds=1), DIALECT)
    assert stored is not None
    assert later is not None
    assert stored < later


def test_times_are_kept_in_utc() -> None:
    """A time of another zone is the same moment, and one without a zone is refused."""
    column = UtcTime()
    noon = datetime(2026, 11, 24, 12, tzinfo=timezone(timedelta(hours=2)))
    assert column.process_bind_param(noon, DIALECT) == "2026-11-24T10:00:00.000Z"
    with pytest.raises(ValueError, match="zone"):
        column.process_bind_param(noon.replace(tzinfo=None), DIALECT)


def test_names_round_trip() -> None:
    """A list of names comes back, and nothing stays nothing."""
    column = Names()
    assert column.process_bind_param(("exec", "forward:web"), DIALECT) == "exec forward:web"
    assert column.process_result_value("exec forward:web", DIALECT) == ("exec", "forward:web")
    assert column.process_bind_param(None, DIALECT) is None
    assert column.process_result_value(None, DIALECT) is None
