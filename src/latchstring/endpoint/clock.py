"""The two clocks of an endpoint. Deadlines use the monotonic one only, so a wrong wall clock never ends a session."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the wall clock's time, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds since the machine booted, time asleep included. The same for every process of one boot."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Return the wall clock's time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since the machine booted, time asleep included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def read_boot_id() -> str:
    """Return what tells this boot of the machine from every other; empty if the kernel does not say."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
