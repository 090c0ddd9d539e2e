"""The machine's clock, for the composition root to pass in."""

import time
from datetime import UTC, datetime


class SystemClock:
    """A :class:`~latchstring.controller.ports.Clock`."""

    def now(self) -> datetime:
        """Return the wall clock's time."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the monotonic clock's seconds."""
        return time.monotonic()
