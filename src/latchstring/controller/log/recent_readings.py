"""Which account read which log a moment ago, so that the pages of one reading make one entry. Pure."""

from collections import OrderedDict
from typing import Final

READING_SECONDS: Final = 10 * 60.0
MAX_READINGS: Final = 10_000


class RecentReadings:
    """The readings that were logged in the last :data:`READING_SECONDS`, by the monotonic clock.

    When there are too many the oldest is forgotten, which costs no more than another entry.
    """

    def __init__(self, *, max_readings: int = MAX_READINGS) -> None:
        self._max_readings = max_readings
        self._logged_at: OrderedDict[tuple[str, str], float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._logged_at)

    def add(self, account_id: str, log_id: str, now: float) -> None:
        """Remember a reading that is durable in the log."""
        self._logged_at[account_id, log_id] = now
        self._logged_at.move_to_end((account_id, log_id))
        while len(self._logged_at) > self._max_readings:
            self._logged_at.popitem(last=False)

    def covers(self, account_id: str, log_id: str, now: float) -> bool:
        """Return whether a reading now belongs to one that was logged."""
        logged_at = self._logged_at.get((account_id, log_id))
        return logged_at is not None and now < logged_at + READING_SECONDS
