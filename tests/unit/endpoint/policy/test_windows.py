"""When windows open and close: weeks, nights, days on which the clocks change, and windows that come once."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.policy.windows import closing_time, next_opening

BERLIN = ZoneInfo("Europe/Berlin")
WEEK = ["mon", "tue", "wed", "thu", "fri"]
OFFICE = {"days": WEEK, "from": "08:00", "to": "18:00"}
NIGHT = {"days": ["sat"], "from": "22:00", "to": "06:00"}
ONCE = {"from": datetime(2026, 11, 29, 10, tzinfo=UTC), "to": datetime(2026, 11, 29, 12, tzinfo=UTC)}


def at(text: str) -> datetime:
    """Return a time in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def policy_of(*windows: dict[str, Any], zone: str = "Europe/Berlin") -> Policy:
    """Return a policy with windows."""
    return Policy.model_validate({"windows": windows, "timezone": zone})


def closing(policy: Policy, now: datetime) -> datetime | None:
    """Return when what is open closes."""
    return closing_time(policy.windows, policy.zone, now)


def opening(policy: Policy, now: datetime) -> datetime | None:
    """Return when it opens next."""
    return next_opening(policy.windows, policy.zone, now)


def local(moment: datetime | None) -> str | None:
    """Return a time as people in Berlin say it."""
    return None if moment is None else f"{moment.astimezone(BERLIN):%a %d %H:%M}"


@pytest.mark.parametrize(
    ("windows", "now", "closes", "opens"),
    [
        ([OFFICE], "2026-11-27 07:59:59", None, "Fri 27 08:00"),
        ([OFFICE], "2026-11-27 08:00:00", "Fri 27 18:00", "Mon 30 08:00"),
        ([OFFICE], "2026-11-27 17:59:59", "Fri 27 18:00", "Mon 30 08:00"),
        ([OFFICE], "2026-11-27 18:00:00", None, "Mon 30 08:00"),
        ([NIGHT], "2026-11-28 21:00:00", None, "Sat 28 22:00"),
        ([NIGHT], "2026-11-28 23:00:00", "Sun 29 06:00", "Sat 05 22:00"),
        ([NIGHT], "2026-11-29 05:59:00", "Sun 29 06:00", "Sat 05 22:00"),
        ([NIGHT], "2026-11-29 06:00:00", None, "Sat 05 22:00"),
        ([NIGHT, ONCE], "2026-11-29 06:00:00", None, "Sun 29 11:00"),
        ([ONCE], "2026-11-29 11:30:00", "Sun 29 13:00", None),
        ([ONCE], "2026-11-29 13:00:00", None, None),
        ([{"days": WEEK, "from": "00:00", "to": "24:00"}], "2026-11-23 00:00:00", "Sat 28 00:00", "Tue 24 00:00"),
        ([OFFICE, {"from": "17:00", "to": "20:00"}], "2026-11-27 12:00:00", "Fri 27 20:00", "Fri 27 17:00"),
    ],
)
def test_windows(windows: list[dict[str, Any]], now: str, closes: str | None, opens: str | None) -> None:
    """The edges of each window, from its first second to its last; those that meet or overlap are one."""
    policy = policy_of(*windows)
    assert (local(closing(policy, at(now))), local(opening(policy, at(now)))) == (closes, opens)


def test_always_open() -> None:
    """Windows that leave no gap close later than any session lasts."""
    now = at("2026-11-27 12:00:00")
    closes = closing(policy_of({"from": "00:00", "to": "24:00"}), now)
    assert closes is not None
    assert closes - now >= timedelta(days=7)


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-28", 8.0), ("2026-03-29", 7.0), ("2026-10-25", 9.0), ("2026-10-24", 8.0)]
)
def test_days_on_which_the_clocks_change(day: str, hours: float) -> None:
    """A window from 01:00 to 09:00 has an hour less in spring and one more in autumn, and ends at 09:00 each time."""
    policy = policy_of({"from": "01:00", "to": "09:00"})
    opens = opening(policy, at(f"{day} 00:30:00"))
    assert opens is not None
    closes = closing(policy, opens)
    assert closes is not None
    assert f"{closes.astimezone(BERLIN):%H:%M}" == "09:00"
    assert (closes - opens).total_seconds() / 3600 == hours


@pytest.mark.parametrize(
    ("day", "opens", "closes"), [("2026-03-29", "03:15", "03:45"), ("2026-10-25", "02:15", "02:45")]
)
def test_times_that_the_clocks_skip_or_repeat(day: str, opens: str, closes: str) -> None:
    """A window within the hour that does not exist comes an hour later; within the one that comes twice, once."""
    policy = policy_of({"from": "02:15", "to": "02:45"})
    start = opening(policy, at(f"{day} 00:00:00"))
    assert start is not None
    end = closing(policy, start)
    assert end is not None
    assert (f"{start.astimezone(BERLIN):%H:%M}", f"{end.astimezone(BERLIN):%H:%M}") == (opens, closes)
    assert end - start == timedelta(minutes=30)
    assert closing(policy, start + timedelta(hours=1)) is None


TIMES = st.integers(0, 1439).map(lambda minutes: f"{minutes // 60:02}:{minutes % 60:02}")
ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe"]


@given(
    days=st.sets(st.sampled_from([*WEEK, "sat", "sun"]), min_size=1, max_size=6),
    edges=st.tuples(TIMES, TIMES).filter(lambda edges: edges[0] != edges[1]),
    zone=st.sampled_from(ZONES),
    now=st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - aware
)
def test_open_now_or_later(days: set[str], edges: tuple[str, str], zone: str, now: datetime) -> None:
    """A recurring window opens again within eight days; when it opens it is open, and when it closes it is not."""
    policy = policy_of({"days": sorted(days), "from": edges[0], "to": edges[1]}, zone=zone)
    opens = opening(policy, now)
    assert opens is not None
    assert timedelta(0) < opens - now <= timedelta(days=8)
    assert closing(policy, opens) is not None
    closes = closing(policy, now)
    if closes is not None:
        assert closes > now
        assert closing(policy, closes) is None
