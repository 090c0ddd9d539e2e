"""The channels of one connection: how many, what is recorded of each, and that all come to their end."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from latchstring.endpoint.ssh.connection import SessionConnection
from latchstring.endpoint.ssh.options import MAX_CHANNELS
from latchstring.endpoint.ssh.ports import ChannelEnd, ChannelRefusal, RefusedError, SessionAccess
from latchstring.endpoint.ssh.pumps import Hold, InputPump, OutputPump
from latchstring.protocol.event_fields import ChannelKind

_logger: Final = logging.getLogger(__name__)


class Channels:
    """The channels of one connection, each a task.

    Attributes:
        session: whose they are.
        was_cut: the connection was cut from our side.
        gone: set once the connection is gone.
    """

    def __init__(self, session: SessionAccess, connection: SessionConnection) -> None:
        self.session = session
        self.was_cut = False
        self.gone = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: set[object] = set()
        self._outputs: set[OutputPump] = set()
        self._inputs: set[InputPump] = set()
        self._moved_before = 0
        self._connection = connection
        connection.on_writable.add(self._writable)

    @property
    def bytes_moved(self) -> int:
        """Bytes that programs and services have sent and taken so far."""
        out = sum(pump.count for pump in self._outputs)
        return self._moved_before + out + sum(pump.count for pump in self._inputs)

    def check_room(self) -> None:
        """See that one more channel may be opened.

        Raises:
            RefusedError: there are :data:`MAX_CHANNELS`, or there were too many in a short time.
        """
        if len(self._tasks) + len(self._idle) >= MAX_CHANNELS:
            raise RefusedError(
                ChannelRefusal.TOO_MANY_CHANNELS, f"a connection can have {MAX_CHANNELS} channels at once, not more"
            )
        if not self.session.may_open():
            raise RefusedError(
                ChannelRefusal.TOO_MANY_CHANNELS,
                "too many channels in a short time; wait a minute",
            )

    def idle(self, channel: object) -> None:
        """Count a channel that is open, but does not run."""
        self._idle.add(channel)

    def not_idle(self, channel: object) -> None:
        """Count it no longer: it runs now, or is closed."""
        self._idle.discard(channel)

    def run(self, channel: Coroutine[Any, Any, None]) -> None:
        """Run a channel to its end."""
        task = asyncio.create_task(channel)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def wait_ended(self) -> None:
        """Wait until every channel has ended and has been recorded."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        self._connection.on_writable.discard(self._writable)

    def attach(self, channel_input: InputPump, outputs: Sequence[OutputPump]) -> None:
        """Count what the pumps of a channel move, and hold its output back whenever the connection takes no more."""
        self._inputs.add(channel_input)
        self._outputs.update(outputs)
        if not self._connection.is_writable:
            for pump in outputs:
                pump.hold(Hold.CONNECTION)

    def detach(self, channel_input: InputPump, outputs: Sequence[OutputPump]) -> None:
        """Forget pumps that have ended, but not what they moved. Does nothing for pumps that are not attached."""
        moved = [pump.count for pump in outputs if pump in self._outputs]
        moved += [channel_input.count] if channel_input in self._inputs else []
        self._moved_before += sum(moved)
        self._inputs.discard(channel_input)
        self._outputs.difference_update(outputs)

    async def opened(self, kind: ChannelKind, capability: str, detail: str | None) -> int:
        """Record that a channel opens, and return its number.

        Raises:
            RefusedError: it could not be recorded, so it must not open.
        """
        try:
            return await self.session.recorder.opened(kind=kind, capability=capability, detail=detail)
        except Exception as error:
            _logger.warning("a channel is refused, since the journal cannot be written (%s)", type(error).__name__)
            raise RefusedError(
                ChannelRefusal.JOURNAL_UNAVAILABLE, "the customer's machine cannot write its journal, so nothing opens"
            ) from error

    async def closed(self, number: int, end: ChannelEnd) -> None:
        """Record that a channel has ended."""
        try:
            await self.session.recorder.closed(number, end)
        except Exception as error:  # noqa: BLE001 - the channel has ended, whatever the journal says
            _logger.warning("the end of a channel could not be recorded (%s)", type(error).__name__)

    async def refused(self, kind: ChannelKind, refusal: RefusedError, detail: str | None) -> None:
        """Record that a channel was refused."""
        try:
            await self.session.recorder.refused(kind=kind, reason=refusal.reason, detail=detail)
        except Exception as error:  # noqa: BLE001 - nothing opens, whatever the journal says
            _logger.warning("a refusal could not be recorded (%s)", type(error).__name__)

    def _writable(self, now: bool) -> None:  # noqa: FBT001 - the connection's callback
        for pump in tuple(self._outputs):
            if now:
                pump.release(Hold.CONNECTION)
            else:
                pump.hold(Hold.CONNECTION)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.warning("a channel failed and its connection is closed (%s)", type(error).__name__)
            self._connection.abort()


async def first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait until one of ``waits`` has ended, and cancel the others. An error of one that has ended is raised."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
