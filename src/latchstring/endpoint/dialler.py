"""Comes to the relay when the controller asks: connects, shows its ticket, waits for the engineer, and serves SSH.

A dial is for one session. What arrives on its socket can reach that session only, whatever its certificate says.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from latchstring.endpoint.journal.journal import Journal
from latchstring.endpoint.proxies import Proxy
from latchstring.endpoint.proxy_connect import open_tunnel
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
from latchstring.protocol.events import SessionConnectionRefused
from latchstring.protocol.messages import DialFailed, DialFailure, DialRelay

MAX_DIALS: Final = 64
"""Connections to the relay at once that wait for their engineer."""
MAX_CONNECTIONS: Final = 256
"""Connections to the relay at once, paired ones included."""
_CONNECT_SECONDS: Final = 10.0

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
        """Record that a client could not prove itself."""
        self._journal.record(SessionConnectionRefused(session_id=self._session_id, code=code))


class Dialler:
    """Carries out dials.

    Args:
        sessions: the live ones; a dial for any other fails.
        journal: where refused connections are recorded.
        relay: the only address that is dialled; a dial to any other is refused.
        serve: runs SSH on a socket.
        report: tells the controller that a dial failed.
        find_proxy: returns the HTTP proxy on the way to a host, if there is one.
    """

    def __init__(
        self,
        sessions: SessionTable,
        journal: Journal,
        *,
        relay: RelayAddress,
        serve: ServeSocket,
        report: Callable[[DialFailed], Awaitable[None]],
        find_proxy: Callable[[str], Proxy | None],
    ) -> None:
        self._sessions = sessions
        self._journal = journal
        self._relay = relay
        self._serve = serve
        self._report = report
        self._find_proxy = find_proxy
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
            return await self._connect(message)
        except (OSError, TimeoutError, ValueError) as error:
            await self._fail(message, DialFailure.UNREACHABLE, str(error) or "no answer in time")
        finally:
            self._waiting -= 1
        return None

    async def _connect(self, message: DialRelay) -> socket.socket:
        """Return a socket that is paired with the engineer's.

        Raises:
            OSError: the relay, or the proxy on the way, cannot be reached.
            TimeoutError: it did not answer in time.
            PreambleError: the relay did not pair.
        """
        async with asyncio.timeout(_CONNECT_SECONDS):
            connection = await self._open(message.host, message.port)
        try:
            await self._pair(connection, message)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _open(self, host: str, port: int) -> socket.socket:
        proxy = self._find_proxy(host)
        if proxy is None:
            return await _connect_to(host, port)
        connection = await _connect_to(proxy.host, proxy.port)
        try:
            await open_tunnel(connection, proxy, host, port)
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


async def _connect_to(host: str, port: int) -> socket.socket:
    """Return a connection to the first of the host's addresses that answers.

    Raises:
        OSError: none does.
    """
    loop = asyncio.get_running_loop()
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, number, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind | socket.SOCK_CLOEXEC, number)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            with contextlib.suppress(OSError):
                connection.close()
            raise
        else:
            return connection
    raise failure
