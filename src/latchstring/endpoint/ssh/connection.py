"""asyncssh's server connection with what the endpoint needs of it. Only this and ``bulk`` rely on its inside.

asyncssh has no public way to see a client's certificate as a whole, to learn that the socket takes no more, or to leave
out the empty MSG_IGNORE before each packet. Here its connection class is made directly, as ``asyncssh.run_server``
does, and some of its methods are overridden. ``tests/unit/endpoint/ssh/test_connection.py`` checks that they are there.

Authentication: our own verification comes first and on the certificate's bytes (``Gate``). What passes goes on to
asyncssh, which checks authority, principal and validity again, in its own way, and the client's signature.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol, runtime_checkable

import asyncssh
from asyncssh.constants import DISC_NO_MORE_AUTH_METHODS_AVAILABLE, MSG_IGNORE

from latchstring.endpoint.sandbox.environment import MAX_REQUESTED
from latchstring.endpoint.ssh.bulk import BulkChannel, BulkConnection
from latchstring.endpoint.ssh.options import (
    MAX_FAILED_AUTHENTICATIONS,
    MAX_PACKET_BYTES,
    MIN_PACKET_BYTES,
    WINDOW_BYTES,
)

_RECEIVE_BYTES: Final = 64 * 1024
"""asyncssh copies all that is left of its input once for each packet in it, so that large pieces cost the square."""


class _Channel(BulkChannel):
    def process_open(self, send_chan: int, send_window: int, send_pktsize: int, session: Any) -> None:
        """Refuse a client that wants its data in crumbs: each costs the agent as much as a whole packet.

        Raises:
            asyncssh.ProtocolError: it does.
        """
        if send_pktsize < MIN_PACKET_BYTES:
            raise asyncssh.ProtocolError("the packet size is too small")
        super().process_open(send_chan, send_window, send_pktsize, session)


class _ServerChannel(_Channel, asyncssh.SSHServerChannel[Any]):
    def _process_env_request(self, packet: Any) -> bool:
        """Refuse variables beyond a limit; asyncssh would keep as many as a client sends."""
        return len(self._env) < MAX_REQUESTED and super()._process_env_request(packet)

    def _process_eow_at_openssh_dot_com_request(self, packet: Any) -> bool:
        """Take note that the client wants no more output (OpenSSH's PROTOCOL, section 2.1)."""
        packet.check_end()
        if isinstance(self._session, OutputUnwanted):
            self._session.output_unwanted()
        return True


@runtime_checkable
class OutputUnwanted(Protocol):
    """A session that can be told that nobody reads its output any more."""

    def output_unwanted(self) -> None:
        """Take note."""


class _TcpChannel(_Channel, asyncssh.SSHTCPChannel[Any]):
    pass


class Gate(Protocol):
    """Decides who comes in."""

    def verify(self, blob: bytes) -> bool:
        """Whether this public key or certificate, as the client sent it, gives the right to use a session."""

    async def admit(self, blob: bytes) -> bool:
        """Let in a client that has proven that it holds the verified certificate's key. False if it is too late."""


class SessionConnection(BulkConnection):
    """One SSH connection of an engineer.

    Attributes:
        is_writable: whether the socket takes more now.
        on_writable: called with each change of :attr:`is_writable`.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, options: asyncssh.SSHServerConnectionOptions, gate: Gate
    ) -> None:
        super().__init__(loop, options)
        self.is_writable = True
        self.on_writable: set[Callable[[bool], None]] = set()
        self._gate = gate
        self._failures = 0

    def create_server_channel(
        self, encoding: str | None = "", errors: str = "", window: int = 0, max_pktsize: int = 0
    ) -> asyncssh.SSHServerChannel[Any]:
        """Make a session channel of our class."""
        channel = super().create_server_channel(encoding, errors, window, max_pktsize)
        channel.__class__ = _ServerChannel
        return channel

    def create_tcp_channel(
        self,
        encoding: str | None = None,
        errors: str = "strict",
        window: int = WINDOW_BYTES,
        max_pktsize: int = MAX_PACKET_BYTES,
    ) -> asyncssh.SSHTCPChannel[Any]:
        """Make a forward's channel of our class."""
        channel = super().create_tcp_channel(encoding, errors, window, max_pktsize)
        channel.__class__ = _TcpChannel
        return channel

    def pause_writing(self) -> None:
        """Take note that the socket takes no more, and read no more: or answers could pile up without a limit."""
        if not self._socket_transport.is_closing():
            self._socket_transport.pause_reading()
        self._set_writable(now=False)

    def resume_writing(self) -> None:
        """Take note that the socket takes more again."""
        if not self._socket_transport.is_closing():
            self._socket_transport.resume_reading()
        self._set_writable(now=True)

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        """Take what the client sent, in pieces that asyncssh handles well."""
        for start in range(0, len(data), _RECEIVE_BYTES):
            super().data_received(data[start : start + _RECEIVE_BYTES], datatype)

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        """Send a packet, unless it is one of the empty ones that asyncssh puts before each.

        They defend CBC ciphers, of which we offer none, and cost as much as a packet with data.
        """
        if pkttype != MSG_IGNORE:
            super().send_packet(pkttype, *args, handler=handler)

    async def validate_public_key(self, username: str, key_data: bytes, msg: bytes, signature: bytes) -> bool:
        """Decide on a public key or certificate; ``msg`` and ``signature`` are empty if it is only offered."""
        if self._gate.verify(key_data) and await super().validate_public_key(username, key_data, msg, signature):
            return await self._gate.admit(key_data) if msg else True
        self._failures += 1
        if self._failures >= MAX_FAILED_AUTHENTICATIONS:
            raise asyncssh.DisconnectError(DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "too many authentication failures")
        return False

    def _set_writable(self, *, now: bool) -> None:
        self.is_writable = now
        for listener in tuple(self.on_writable):
            listener(now)
