"""A listening socket whose connections speak TLS.

The accept loop is our own, because only so a handshake can be waited for: there are never more handshakes at once than
the limits say, what does not finish in time is dropped, and a stranger's failure is counted instead of logged.
While all places for handshakes are taken, new connections wait in the kernel's queue.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from latchstring.controller.addresses import Address
from latchstring.controller.https.admission import Admission, AdmissionLimits, source_of
from latchstring.controller.setup_error import SetupError

_BACKLOG: Final = 1024
_SHUTDOWN_SECONDS: Final = 2.0
_LAST_HANDSHAKES_SECONDS: Final = 0.1
_CLOSING_SECONDS: Final = 0.5
_CLOSING_STEP_SECONDS: Final = 0.01
_PAUSE_WITHOUT_DESCRIPTORS: Final = 0.25
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_TCP_USER_TIMEOUT_MILLISECONDS: Final = 30_000

_log = logging.getLogger(__name__)

ProtocolFactory = Callable[[Callable[[], None]], asyncio.Protocol]
"""Makes the protocol of one connection; the protocol calls the argument once, when the connection is gone."""


class ListenError(SetupError):
    """An address cannot be bound."""

    @classmethod
    def of(cls, address: Address, error: OSError) -> "ListenError":
        """Return the error for ``address``, in words that help."""
        hint = "; stop what uses it, or choose another port" if error.errno == errno.EADDRINUSE else ""
        return cls(f"cannot listen on {address}: {_reason(error)}{hint}")


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """What strangers may take of a listener."""

    connections: AdmissionLimits
    handshakes: AdmissionLimits = field(default_factory=lambda: AdmissionLimits(total=256, per_source=64))
    handshake_seconds: float = 10.0


def bind(address: Address) -> socket.socket:
    """Return a listening socket.

    Raises:
        ListenError: the address is taken, not this machine's, or needs privileges.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ListenError.of(address, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ListenError.of(address, error) from error
    return listener


class TlsListener:
    """Accepts connections on ``listener`` and hands each to a protocol once TLS is up.

    Attributes:
        counters: ``accepted``, ``refused`` (limits), ``handshake_failed``, ``established``.
    """

    def __init__(
        self, listener: socket.socket, context: ssl.SSLContext, factory: ProtocolFactory, limits: ListenerLimits
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._listener = listener
        self._context = context
        self._factory = factory
        self._limits = limits
        self._connections = Admission(limits.connections)
        self._handshakes = Admission(limits.handshakes)
        self._places = asyncio.Semaphore(limits.handshakes.total)
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.Transport] = set()
        self._accepting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to accept."""
        self._accepting = asyncio.create_task(self._accept(), name="accept")

    async def close(self) -> None:
        """Stop accepting, and drop the handshakes in progress; established connections are their protocols' matter."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
        if self._tasks:
            # asyncio forgets the socket of a handshake that is cancelled before its first turn.
            await asyncio.wait(tuple(self._tasks), timeout=_LAST_HANDSHAKES_SECONDS)
        handshakes = tuple(self._tasks)
        for task in handshakes:
            task.cancel()
        await asyncio.gather(*handshakes, return_exceptions=True)
        self._listener.close()

    async def end_connections(self) -> None:
        """Let connections that are closing do so for a moment, then cut what is left."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _CLOSING_SECONDS
        while self._open and loop.time() < deadline:  # noqa: ASYNC110 - bounded, and only when the controller stops
            await asyncio.sleep(_CLOSING_STEP_SECONDS)
        for transport in tuple(self._open):
            transport.abort()
        await asyncio.sleep(0)  # an abort takes effect in the loop's next turn

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._places.acquire()
            try:
                connection, peer = await loop.sock_accept(self._listener)
            except OSError as error:
                self._places.release()
                await self._accept_failed(error)
                continue
            except BaseException:
                self._places.release()
                raise
            self.counters["accepted"] += 1
            if not self._begin(connection, source_of(peer)):
                self.counters["refused"] += 1
                connection.close()
                self._places.release()

    async def _accept_failed(self, error: OSError) -> None:
        self.counters["accept_failed"] += 1
        if error.errno in _EXHAUSTED:
            _log.warning("no connection can be accepted now: %s", error.strerror)
            await asyncio.sleep(_PAUSE_WITHOUT_DESCRIPTORS)
        else:
            await asyncio.sleep(0)

    def _begin(self, connection: socket.socket, source: str) -> bool:
        if not self._connections.enter(source):
            return False
        if not self._handshakes.enter(source):
            self._connections.leave(source)
            return False
        task = asyncio.create_task(self._handshake(connection, source), name="handshake")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _handshake(self, connection: socket.socket, source: str) -> None:
        place = _Place(self._connections, source)
        try:
            _set_options(connection)
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._factory(place.give_back),
                connection,
                ssl=self._context,
                ssl_handshake_timeout=self._limits.handshake_seconds,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
            self.counters["established"] += 1
            place.taken_by(transport, self._open)
        except (OSError, ssl.CertificateError) as error:
            # Certificates that we refuse, other versions of TLS, silence, garbage: the stranger's fault.
            self.counters["handshake_failed"] += 1
            _log.debug("a handshake with %s failed: %s", source, type(error).__name__)
        finally:
            self._handshakes.leave(source)
            self._places.release()
            if not place.is_taken:
                place.give_back()
                connection.close()


class _Place:
    """One connection's place among all, from its acceptance until it is gone."""

    def __init__(self, admission: Admission, source: str) -> None:
        self._admission = admission
        self._source = source
        self._given_back = False
        self._transport: asyncio.Transport | None = None
        self._open: set[asyncio.Transport] = set()

    @property
    def is_taken(self) -> bool:
        """Whether TLS came up."""
        return self._transport is not None

    def taken_by(self, transport: asyncio.Transport, everybody: set[asyncio.Transport]) -> None:
        """Note that TLS came up; ``everybody`` holds the transport until it is gone."""
        self._transport, self._open = transport, everybody
        if not self._given_back:
            everybody.add(transport)

    def give_back(self) -> None:
        """Note that the connection is gone; only the first time counts."""
        if not self._given_back:
            self._given_back = True
            self._admission.leave(self._source)
        if self._transport is not None:
            self._open.discard(self._transport)


def _set_options(connection: socket.socket) -> None:
    connection.setblocking(False)
    with contextlib.suppress(OSError):  # the peer may be gone; the handshake will say so
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Drops a peer that neither answers nor reads, however full its window is.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _TCP_USER_TIMEOUT_MILLISECONDS)


def _reason(error: OSError) -> str:
    return {
        errno.EADDRINUSE: "the port is taken",
        errno.EADDRNOTAVAIL: "this machine has no such address",
        errno.EACCES: "a port below 1024 needs privileges",
    }.get(error.errno or 0, error.strerror or "refused")
