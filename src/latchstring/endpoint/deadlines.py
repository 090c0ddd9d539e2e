"""Enforces the times of requests and sessions: deadlines, idle times, lapses."""

import asyncio
from typing import Final

from latchstring.endpoint.clock import Clock
from latchstring.endpoint.lifecycle import Lifecycle

LOOK_SECONDS: Final = 5.0
"""The longest sleep. The loop's clock stands still while the machine is asleep, and the deadlines do not."""


async def enforce_deadlines(lifecycle: Lifecycle, clock: Clock) -> None:
    """End what is due when it is due, until cancelled."""
    while True:
        lifecycle.changed.clear()
        due = lifecycle.enforce_times()
        left = LOOK_SECONDS if due is None else max(0.0, due - clock.monotonic())
        try:
            async with asyncio.timeout(min(left, LOOK_SECONDS)):
                await lifecycle.changed.wait()
        except TimeoutError:
            continue
