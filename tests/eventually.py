"""Waiting for what other tasks or the kernel bring about."""

import asyncio
from collections.abc import Callable

SECONDS = 10.0


async def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until ``condition`` is true, and fail if it is not within ten seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SECONDS
    while not condition():
        assert loop.time() < deadline, f"waited {SECONDS:.0f} s for {what}"
        await asyncio.sleep(0.01)
