"""What the SSH server needs from the agent: sessions, policy, and a record of every channel.

The agent implements these protocols; each states its promise. The server keeps the order: it authorises, then records
(durably), then starts; so that nothing runs that is not in the journal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from latchstring.endpoint.grant_verification import GrantedSession
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.protocol.event_fields import ChannelKind, ChannelOutcome


class ChannelRefusal(StrEnum):
    """Why a channel was refused: the ``reason`` of a ``channel.refused`` event."""

    NOT_GRANTED = "not_granted"
    POLICY = "policy"
    UNKNOWN_SERVICE = "unknown_service"
    SERVICE_UNREACHABLE = "service_unreachable"
    UNSUPPORTED = "unsupported"
    TOO_MANY_CHANNELS = "too_many_channels"
    SANDBOX_UNAVAILABLE = "sandbox_unavailable"
    JOURNAL_UNAVAILABLE = "journal_unavailable"
    PROGRAM_MISSING = "program_missing"


class RefusedError(Exception):
    """A channel is refused.

    Attributes:
        reason: for the log.
        text: one line for the engineer, without a secret.
    """

    def __init__(self, reason: ChannelRefusal, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


ANY_PORT: Final = 0


@dataclass(frozen=True, slots=True)
class Service:
    """The address of a service that the customer's policy names.

    Attributes:
        host: a name or an address.
        port: :data:`ANY_PORT` is every port of the host.
        every_port: whether the port is one that the engineer chose, of a service that is every port.
    """

    host: str
    port: int
    every_port: bool = False


@dataclass(frozen=True, slots=True)
class ChannelEnd:
    """How a channel ended.

    Attributes:
        outcome: ``exited`` has an exit status, no other has one.
        exit_status: 0 to 255.
        bytes_in: bytes from the engineer that were handed on.
        bytes_out: bytes to the engineer, standard error included.
    """

    outcome: ChannelOutcome
    bytes_in: int
    bytes_out: int
    exit_status: int | None = None


class ChannelRecorder(Protocol):
    """Records channels in the endpoint's journal."""

    async def opened(self, *, kind: ChannelKind, capability: str, detail: str | None) -> int:
        """Record that a channel opens, durably before this returns. The channel starts only after.

        Args:
            kind: what the channel is for.
            capability: the one that was authorised (for SFTP the wider: ``sftp_write`` before ``sftp_read``).
            detail: command line of an exec, else ``None``. It may be content: commit to it, never log it.

        Returns:
            The channel's number in this session, for :meth:`closed`.

        Raises:
            Exception: it could not be written; the channel is refused as ``journal_unavailable``.
        """

    async def closed(self, channel: int, end: ChannelEnd) -> None:
        """Record that the channel with this number has ended. Called exactly once for each number."""

    async def refused(self, *, kind: ChannelKind, reason: ChannelRefusal, detail: str | None) -> None:
        """Record that a channel was refused. Failing to record it changes nothing: nothing opens.

        ``detail`` is the command line, or the target of a forward: commit to it, never log it.
        """


class LiveConnection(Protocol):
    """One authenticated SSH connection of a session, as the agent sees it."""

    @property
    def bytes_moved(self) -> int:
        """Bytes of channel data so far, both directions; for idle timers."""

    def cut(self) -> None:
        """End it at once: not one byte more leaves. Does not block; safe to call twice."""


class SessionAccess(GrantedSession, Protocol):
    """A live session, with all that its channels need."""

    @property
    def sandbox(self) -> Sandbox:
        """The session's sandbox, started."""

    @property
    def services(self) -> Mapping[str, Service]:
        """The services that the customer's policy names. Which of them are granted is :meth:`authorise`'s to say."""

    @property
    def recorder(self) -> ChannelRecorder:
        """Where this session's channels are recorded."""

    async def connect(self, service: Service) -> int:
        """Return the descriptor of a connection to a service, which does not block.

        Raises:
            OSError, SandboxError: it does not answer.
        """

    def may_open(self) -> bool:
        """Count one more channel, and return whether it may be opened. What may not leaves no trace in the journal."""

    def authorise(self, capability: str) -> None:
        """Decide, now, whether the session may use ``capability``. Asked for each request for a channel.

        Raises:
            RefusedError: it may not.
        """

    async def connected(self, connection: LiveConnection) -> None:
        """Take note of a connection that proved the session's key and grant, durably before this returns.

        From now on the session's end must ``cut`` it.

        Raises:
            Exception: it could not be recorded, or the session has ended; the connection is closed.
        """

    async def disconnected(self, connection: LiveConnection) -> None:
        """Take note that a connection is gone, all its channels closed. Called once for each :meth:`connected`."""


class SessionDirectory(Protocol):
    """The sessions that may be reached through one dialled socket."""

    def find(self, session_id: str) -> SessionAccess | None:
        """Return the session with this id, or ``None``. Answer only what the socket was dialled for."""

    def refused(self, code: str) -> None:
        """Take note that a client could not prove itself. ``code`` matches ``[a-z_]{1,40}``; once for a socket."""
