"""Enforces the times of requests and sessions: deadlines, idle times, lapses."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from latchstring.endpoint.clock import Clock
from latchstring.endpoint.lifecycle import Lifecycle

LOOK_SECONDS: Final = 1.0
"""The longest sleep while anything is due. The loop's clock stands still while the machine sleeps; deadlines do not."""


async def enforce_deadlines(lifecycle: Lifecycle, clock: Clock, look: Callable[[], None]) -> None:
    """End what is due when it is due, until cancelled. While nothing waits or lives, nothing wakes up.

    Args:
        lifecycle: whose requests and sessions.
        clock: of the deadlines.
        look: called again and again while there are any.
    """
    while True:
        lifecycle.changed.clear()
        due = lifecycle.enforce_times()
        left = None if due is None else min(max(0.0, due - clock.monotonic()), LOOK_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await lifecycle.changed.wait()
        look()
