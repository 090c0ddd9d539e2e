"""One process that a sandbox started for a channel."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChildExit:
    """How a child ended.

    Attributes:
        status: its exit status, 0 to 255, or ``None`` if a signal ended it or the sandbox ended first.
        signal: the number of the signal that ended it, or ``None``.
    """

    status: int | None = None
    signal: int | None = None


class Child:
    """A child of the sandbox's init, the leader of its own session and process group.

    Attributes:
        pid: its number inside the sandbox's PID namespace.
    """

    def __init__(self, pid: int, send_signal: Callable[[int], None]) -> None:
        self.pid = pid
        self._send_signal = send_signal
        self._exit: asyncio.Future[ChildExit] = asyncio.get_running_loop().create_future()

    async def wait(self) -> ChildExit:
        """Wait until it has ended; with the sandbox it ends too, without a status. May be awaited many times."""
        return await asyncio.shield(self._exit)

    def signal(self, number: int) -> None:
        """Send a signal to its process group. Does nothing if it has ended."""
        if not self._exit.done():
            self._send_signal(number)

    def ended(self, how: ChildExit) -> None:
        """Called by the sandbox, once it knows how the child ended."""
        if not self._exit.done():
            self._exit.set_result(how)
