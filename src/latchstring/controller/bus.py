"""Wakes who waits for a session's change, within one process."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class _LocalSubscription:
    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def wake(self) -> None:
        self._changed.set()

    async def wait(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True


class LocalBus:
    """A :class:`~latchstring.controller.ports.Bus` among the tasks of one event loop."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, set[_LocalSubscription]] = {}

    def publish(self, session_id: str) -> None:
        """Wake every subscription of the session."""
        for subscription in self._subscriptions.get(session_id, ()):
            subscription.wake()

    @contextmanager
    def subscribe(self, session_id: str) -> Iterator[_LocalSubscription]:
        """Subscribe until the block ends."""
        subscription = _LocalSubscription()
        others = self._subscriptions.setdefault(session_id, set())
        others.add(subscription)
        try:
            yield subscription
        finally:
            others.discard(subscription)
            if not others:
                self._subscriptions.pop(session_id, None)
