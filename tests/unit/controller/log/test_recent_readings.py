"""Which readings belong to one that was logged."""

from latchstring.controller.log.recent_readings import READING_SECONDS, RecentReadings


def test_one_account_one_log_ten_minutes() -> None:
    """A reading covers what the same account reads of the same log until it is ten minutes old."""
    recent = RecentReadings()
    recent.add("ada", "log", 5.0)
    assert recent.covers("ada", "log", 5.0 + READING_SECONDS - 1)
    assert not recent.covers("ada", "log", 5.0 + READING_SECONDS)
    assert not recent.covers("ada", "other", 5.0)
    assert not recent.covers("bob", "log", 5.0)


def test_memory_is_bounded() -> None:
    """Beyond the bound the oldest reading is forgotten."""
    recent = RecentReadings(max_readings=2)
    for account in ("a", "b", "c"):
        recent.add(account, "log", 0.0)
    assert len(recent) == 2
    assert [recent.covers(account, "log", 1.0) for account in ("a", "b", "c")] == [False, True, True]
