"""Comes to the relay when the controller asks: connects, shows its ticket, waits for the engineer, and serves SSH.

A dial is for one session. What arrives on its socket can reach that session only, whatever its certificate says.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from latchstring.endpoint.journal.journal import Journal
from latchstring.endpoint.relay_address import RelayAddress
from latchstring.endpoint.session import LiveSession
from latchstring.endpoint.session_table import SessionTable
from latchstring.endpoint.ssh.ports import SessionDirectory
from latchstring.endpoint.tasks import Tasks
from latchstring.protocol.dial import (
    ANSWER_SECONDS,
    STATUS_BYTES,
    PreambleError,
    Role,
    Status,
    encode_preamble,
    parse_status,
)
from latchstring.protocol.endpoint_events import SessionConnectionRefused
from latchstring.protocol.messages import DialFailed, DialFailure, DialRelay

MAX_DIALS: Final = 64
"""Connections to the relay at once that wait for their engineer."""
MAX_CONNECTIONS: Final = 256
"""Connections to the relay at once, paired ones included."""

_log = logging.getLogger(__name__)


class ServeSocket(Protocol):
    """Runs SSH on a connected socket until the connection ends. The socket is its own from then on."""

    async def __call__(self, connection: socket.socket, sessions: SessionDirectory, /) -> None:
        """Serve it."""


class DialledSession:
    """The one session that a dialled socket may reach. Satisfies ``SessionDirectory`` of ``endpoint.ssh.ports``."""

    def __init__(self, session_id: str, sessions: SessionTable, journal: Journal) -> None:
        self._session_id = session_id
        self._sessions = sessions
        self._journal = journal

    def find(self, session_id: str) -> LiveSession | None:
        """Return the session if it is the one that was dialled for, and live."""
        return self._sessions.find(session_id) if session_id == self._session_id else None

    def refused(self, code: str) -> None:
        """Record that a client could not prove itself, unless that happens too often."""
        session = self._sessions.find(self._session_id)
        if session is None or session.may_open():
            self._journal.record(SessionConnectionRefused(session_id=self._session_id, code=code))


class Dialler:
    """Carries out dials.

    Args:
        sessions: the live ones; a dial for any other fails.
        journal: where refused connections are recorded.
        relay: the only address that is dialled; a dial to any other is refused.
        connect: connects to that address, one way or another.
        serve: runs SSH on a socket.
        report: tells the controller that a dial failed.
    """

    def __init__(
        self,
        sessions: SessionTable,
        journal: Journal,
        *,
        relay: RelayAddress,
        connect: Callable[[], Awaitable[socket.socket]],
        serve: ServeSocket,
        report: Callable[[DialFailed], Awaitable[None]],
    ) -> None:
        self._sessions = sessions
        self._journal = journal
        self._relay = relay
        self._connect = connect
        self._serve = serve
        self._report = report
        self._tasks = Tasks()
        self._waiting = 0
        self._connections = 0

    def dial(self, message: DialRelay) -> None:
        """Carry out a dial, in a task of its own."""
        self._tasks.start(self._dial(message), name=f"dial {message.dial_id}")

    async def close(self) -> None:
        """End every connection."""
        await self._tasks.cancel()

    async def _dial(self, message: DialRelay) -> None:
        session = self._sessions.find(message.session_id)
        if session is None or not session.is_live:
            await self._fail(message, DialFailure.NOT_LIVE, "its session is not live")
            return
        if not self._relay.is_at(message.host, message.port):
            await self._fail(message, DialFailure.REFUSED, f"{message.host}:{message.port} is not the relay")
            return
        if self._waiting >= MAX_DIALS or self._connections >= MAX_CONNECTIONS:
            await self._fail(message, DialFailure.REFUSED, "there are too many connections")
            return
        self._connections += 1
        try:
            connection = await self._connect_or_fail(message)
            if connection is not None:
                sessions = DialledSession(message.session_id, self._sessions, self._journal)
                await self._serve(connection, sessions)
        except OSError as error:  # the connection broke: the other side's fault, and no news
            _log.debug("the connection of dial %s broke: %s", message.dial_id, error)
        finally:
            self._connections -= 1

    async def _connect_or_fail(self, message: DialRelay) -> socket.socket | None:
        self._waiting += 1
        try:
            return await self._connect_and_pair(message)
        except (OSError, TimeoutError, ValueError) as error:
            await self._fail(message, DialFailure.UNREACHABLE, str(error) or "no answer in time")
        finally:
            self._waiting -= 1
        return None

    async def _connect_and_pair(self, message: DialRelay) -> socket.socket:
        """Return a socket that is paired with the engineer's.

        Raises:
            OSError: the relay cannot be reached.
            TimeoutError: it did not answer in time.
            PreambleError: the relay did not pair.
        """
        connection = await self._connect()
        try:
            await self._pair(connection, message)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _pair(self, connection: socket.socket, message: DialRelay) -> None:
        loop = asyncio.get_running_loop()
        preamble = encode_preamble(
            role=Role.ENDPOINT,
            dial_id=message.dial_id,
            session_id=message.session_id,
            secret=bytes.fromhex(message.secret),
        )
        async with asyncio.timeout(ANSWER_SECONDS):
            await loop.sock_sendall(connection, preamble)
            status = parse_status(await loop.sock_recv(connection, STATUS_BYTES))
        if status is not Status.PAIRED:
            raise PreambleError(f"the relay answered: {status.name.lower()}")

    async def _fail(self, message: DialRelay, failure: DialFailure, reason: str) -> None:
        _log.warning("dial %s of session %s failed: %s", message.dial_id, message.session_id, reason)
        await self._report(DialFailed(session_id=message.session_id, dial_id=message.dial_id, failure=failure))
