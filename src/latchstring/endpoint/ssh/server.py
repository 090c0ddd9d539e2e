"""Serve one dialled socket: authenticate the engineer against the grant, then run their channels in the sandbox.

    await serve_session_socket(sock, identity=…, user_ca=…, sessions=…)

There is no listening socket. What the server refuses by itself: anything but a session certificate of ours, agent and
X11 forwarding, remote forwards, tunnels, Unix sockets. What the customer's policy decides is asked through ``ports``.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable
from typing import Final, Literal

import asyncssh

from latchstring.endpoint.grant_verification import (
    CertificateNotAcceptedError,
    GrantNotAcceptedError,
    VerifiedGrant,
    verify_grant,
)
from latchstring.endpoint.ssh.channels import Channels
from latchstring.endpoint.ssh.connection import SessionConnection
from latchstring.endpoint.ssh.forward_channel import ForwardChannel
from latchstring.endpoint.ssh.identity import HostIdentity
from latchstring.endpoint.ssh.options import server_options
from latchstring.endpoint.ssh.other_forwards import OtherForwards
from latchstring.endpoint.ssh.ports import ChannelRefusal, RefusedError, SessionAccess, SessionDirectory
from latchstring.endpoint.ssh.process_channel import ProcessChannel
from latchstring.protocol.event_fields import ChannelKind
from latchstring.streams.carried_socket import reset_on_close

_logger: Final = logging.getLogger(__name__)
_NOT_AUTHENTICATED: Final = "not_authenticated"
_NOT_RECORDED: Final = "not_recorded"
_KEY_NOT_PROVEN: Final = "key_not_proven"
_MALFORMED: Final = "certificate_malformed"

# At INFO, asyncssh logs command lines and paths.
asyncssh.set_log_level(logging.WARNING)


async def serve_session_socket(
    sock: socket.socket, *, identity: HostIdentity, user_ca: str, sessions: SessionDirectory
) -> None:
    """Serve one connected socket until its connection has ended and all its channels are recorded as closed.

    Cancelling it cuts the connection.

    Args:
        sock: connected to the engineer's client through the relay, by TCP or carried; ours from now on.
        identity: the endpoint's host key and certificate.
        user_ca: the pinned user authority, on one line.
        sessions: the sessions that may be reached through this socket.
    """
    loop = asyncio.get_running_loop()
    guest = _Guest(sock, identity=identity, user_ca=user_ca, sessions=sessions)
    options = server_options(identity, user_ca, lambda: guest)
    sock.setblocking(False)
    # uvloop tells sockets of the two families apart.
    attach = loop.create_unix_connection if sock.family == socket.AF_UNIX else loop.create_connection
    try:
        await attach(lambda: SessionConnection(loop, options, guest), sock=sock)
    except BaseException:
        sock.close()
        raise
    try:
        await guest.gone.wait()
    finally:
        guest.cut()
        await asyncio.shield(guest.leave())


class _Guest(OtherForwards):
    """Who is on the other side of one socket: a stranger first, then the holder of a verified grant.

    Implements ``connection.Gate`` and ``ports.LiveConnection``, and is asyncssh's server object.
    """

    def __init__(
        self, sock: socket.socket, *, identity: HostIdentity, user_ca: str, sessions: SessionDirectory
    ) -> None:
        self.gone = asyncio.Event()
        self._sock = sock
        self._identity = identity
        self._user_ca = user_ca
        self._sessions = sessions
        self._connection: SessionConnection
        self._failure: GrantNotAcceptedError | None = None
        self._refusal_code = _NOT_AUTHENTICATED
        self._admission: asyncio.Task[Channels | None] | None = None
        self._admitted_blob = b""
        self._channels: Channels | None = None

    @property
    def bytes_moved(self) -> int:
        """Bytes that programs and services have sent and taken over this connection so far."""
        return 0 if self._channels is None else self._channels.bytes_moved

    def cut(self) -> None:
        """End it at once. What the kernel still holds for the engineer is thrown away too: the close is a reset."""
        if self.gone.is_set():
            return
        if self._channels is not None:
            self._channels.was_cut = True
        reset_on_close(self._sock)
        self._connection.abort()

    async def leave(self) -> None:
        """Once the connection is gone: let the channels end, and tell the agent."""
        if self._admission is None:
            self._sessions.refused(self._failure.code if self._failure else self._refusal_code)
        elif (channels := await self._admission) is not None:
            channels.gone.set()
            await channels.wait_ended()
            try:
                await channels.session.disconnected(self)
            except Exception as error:  # noqa: BLE001 - the connection is gone, whatever the agent makes of it
                _logger.warning("the end of a connection could not be recorded (%s)", type(error).__name__)
        else:
            self._sessions.refused(_NOT_RECORDED)

    # Gate

    def verify(self, blob: bytes) -> bool:
        """Whether this certificate is for a live session. If not, the reason is kept, and told if it is no secret."""
        try:
            self._verify(blob)
        except GrantNotAcceptedError as failure:
            self._take_failure(failure)
            return False
        self._refusal_code = _KEY_NOT_PROVEN
        return True

    async def admit(self, blob: bytes) -> bool:
        """Let in the client that has proven to hold the certified key: its session takes note first."""
        if self._admission is None:
            try:
                granted = self._verify(blob)
            except GrantNotAcceptedError as failure:  # the session has ended meanwhile
                self._take_failure(failure)
                return False
            self._admitted_blob = blob
            self._admission = asyncio.create_task(self._connect(granted))
        if blob != self._admitted_blob:
            return False
        # A client that asks again abandons its first request, but not what the agent has been told.
        return await asyncio.shield(self._admission) is not None

    def _verify(self, blob: bytes) -> VerifiedGrant[SessionAccess]:
        return verify_grant(
            blob,
            user_ca=self._user_ca,
            endpoint_id=self._identity.endpoint_id,
            find_session=self._sessions.find,
        )

    async def _connect(self, granted: VerifiedGrant[SessionAccess]) -> Channels | None:
        try:
            await granted.session.connected(self)
        except Exception as error:  # noqa: BLE001 - whatever the reason: no record, no connection
            _logger.warning("a connection is refused, since it could not be recorded (%s)", type(error).__name__)
            return None
        self._channels = Channels(granted.session, self._connection)
        return self._channels

    def _take_failure(self, failure: GrantNotAcceptedError) -> None:
        if self._failure is None or self._failure.code == _MALFORMED:
            self._failure = failure
            if not isinstance(failure, CertificateNotAcceptedError):
                # The user authority signed the certificate, so whoever has it may know.
                self._connection.send_auth_banner(f"latchstring: {failure}\r\n")

    # asyncssh.SSHServer

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Take the connection."""
        assert isinstance(conn, SessionConnection)  # noqa: S101 - we made it
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone."""
        del exc
        self.gone.set()

    def begin_auth(self, username: str) -> bool:
        """Demand authentication, whatever the name: the certificate says who it is."""
        del username
        return True

    def session_requested(self) -> ProcessChannel:
        """Open a session channel.

        Raises:
            asyncssh.ChannelOpenError: there is no room for one more.
        """
        return ProcessChannel(self._channels_with_room())

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Awaitable[ForwardChannel]:
        """Forward to a service.

        Raises:
            asyncssh.ChannelOpenError: there is no room for one more.
        """
        del orig_host, orig_port
        return ForwardChannel.open(self._channels_with_room(), dest_host, dest_port)

    def refuse_forward(self, target: str) -> Literal[False]:
        """Record that a forward was refused which does not exist here; a client that goes on leaves no more traces."""
        if self._channels is not None:
            refusal = RefusedError(ChannelRefusal.UNSUPPORTED, "only -L to a service")
            with contextlib.suppress(RefusedError):
                self._channels.check_room()
                self._channels.run(self._channels.refused(ChannelKind.FORWARD, refusal, target))
        return False

    def _channels_with_room(self) -> Channels:
        if self._channels is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "not authenticated")
        try:
            self._channels.check_room()
        except RefusedError as refusal:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, refusal.text) from refusal
        return self._channels
