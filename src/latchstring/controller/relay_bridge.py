"""Stands between the services and the relay: their errors, and the log entry that each relayed connection ends with."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from latchstring.controller.errors import RelayBusyError, StoreUnavailableError
from latchstring.controller.ports import IssuedDial
from latchstring.controller.relay.errors import RelayBusyError as TicketsExhaustedError
from latchstring.controller.relay.server import Relay

_MAX_WAITING: Final = 10_000
_RETRY_SECONDS: Final = 1.0

RelayedBytes = tuple[str, int, int]
"""Session id, bytes from the engineer, bytes from the endpoint."""

_log = logging.getLogger(__name__)


class RelayBridge:
    """Keeps the :class:`~latchstring.controller.ports.SessionRelay` promise with the relay of this process."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def issue(self, session_id: str) -> IssuedDial:
        """Expect both sides of one connection.

        Raises:
            RelayBusyError: no more fit.
        """
        try:
            return self._relay.issue(session_id)
        except TicketsExhaustedError as error:
            raise RelayBusyError(str(error)) from error

    def cut(self, session_id: str) -> None:
        """Close every connection of the session and void its dials."""
        self._relay.cut(session_id)


class RelayedConnections:
    """Logs the end of each relayed connection. The relay's observer; it never makes the relay wait."""

    def __init__(self) -> None:
        self._ended: asyncio.Queue[RelayedBytes | None] = asyncio.Queue()

    def connection_closed(
        self,
        session_id: str,
        dial_id: str,  # noqa: ARG002 - the relay's shape; the log speaks of sessions
        bytes_from_engineer: int,
        bytes_from_endpoint: int,
    ) -> None:
        """Note that a connection ended."""
        if self._ended.qsize() >= _MAX_WAITING:
            _log.error("the end of a relayed connection of %s cannot be logged: too many wait", session_id)
            return
        self._ended.put_nowait((session_id, bytes_from_engineer, bytes_from_endpoint))

    async def run(self, record: Callable[[str, int, int], Awaitable[None]]) -> None:
        """Record ends as they come, until :meth:`finish`. What cannot be logged now waits."""
        while (ended := await self._ended.get()) is not None:
            await self._record(ended, record)

    def finish(self) -> None:
        """Let :meth:`run` return once it has recorded what is there."""
        self._ended.put_nowait(None)

    async def _record(self, ended: RelayedBytes, record: Callable[[str, int, int], Awaitable[None]]) -> None:
        while True:
            try:
                return await record(*ended)
            except StoreUnavailableError:
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception:  # noqa: BLE001 - one connection's entry must not end the others'
                _log.exception("the end of a relayed connection of %s cannot be logged", ended[0])
                return None
