"""Audit events that an endpoint reports in signed statements."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from latchstring.protocol.access import AccessMode
from latchstring.protocol.capabilities import Capabilities, Capability
from latchstring.protocol.endings import Reason
from latchstring.protocol.event_fields import (
    ChannelKind,
    ChannelOutcome,
    Count,
    DecidedBy,
    Fingerprint,
    Opening,
    Version,
)
from latchstring.protocol.grants import DurationSeconds, Frozen, Sha256Hex
from latchstring.protocol.ids import SessionId
from latchstring.protocol.purposes import Note
from latchstring.protocol.session_state import SessionState
from latchstring.protocol.times import Timestamp


class AgentStarted(Frozen):
    """The endpoint's agent began its journal for this run."""

    type: Literal["agent.started"] = "agent.started"
    version: Version
    access: AccessMode


class AgentStopped(Frozen):
    """The endpoint's agent stopped in order."""

    type: Literal["agent.stopped"] = "agent.stopped"


class AccessChanged(Frozen):
    """The customer's switch moved."""

    type: Literal["access.changed"] = "access.changed"
    mode: AccessMode
    by: Literal["customer_cli", "policy", "timer", "vendor"]
    until: Timestamp | None = None


class PolicyChanged(Frozen):
    """Another policy is in force: the SHA-256 of its canonical form, and of that before."""

    type: Literal["policy.changed"] = "policy.changed"
    policy: Sha256Hex
    before: Sha256Hex
    by: Literal["customer_cli", "file"]


class PolicyRefused(Frozen):
    """The policy's file was changed, and cannot be meant. The one before stays in force, less what the file takes away.

    ``policy`` is what is in force now.
    """

    type: Literal["policy.refused"] = "policy.refused"
    policy: Sha256Hex


class SessionAsked(Frozen):
    """The endpoint put the question to its customer."""

    type: Literal["session.asked"] = "session.asked"
    session_id: SessionId


class SessionGranted(Frozen):
    """The customer's side said yes, to exactly the grant with this digest, for whoever holds this key."""

    type: Literal["session.granted"] = "session.granted"
    session_id: SessionId
    grant_digest: Sha256Hex
    engineer_key: Fingerprint
    capabilities: Capabilities
    duration_seconds: DurationSeconds
    decided_by: DecidedBy


class SessionRefused(Frozen):
    """The customer's side said no. ``opens`` is when a window of its policy opens next, if none is open."""

    type: Literal["session.refused"] = "session.refused"
    session_id: SessionId
    reason: Reason
    decided_by: DecidedBy
    note: Note | None = None
    opens: Opening | None = None


class SessionNarrowed(Frozen):
    """A change of policy took something from a live session: what is left of it."""

    type: Literal["session.narrowed"] = "session.narrowed"
    session_id: SessionId
    capabilities: Capabilities
    seconds_left: Count


class SessionConnected(Frozen):
    """An SSH connection proved the session's key and grant."""

    type: Literal["session.connected"] = "session.connected"
    session_id: SessionId
    connections: Count


class SessionConnectionRefused(Frozen):
    """An SSH connection through the relay failed to prove itself."""

    type: Literal["session.connection_refused"] = "session.connection_refused"
    session_id: SessionId
    code: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")]


class SessionDisconnected(Frozen):
    """An SSH connection went away; ``connections`` are left."""

    type: Literal["session.disconnected"] = "session.disconnected"
    session_id: SessionId
    connections: Count


class ChannelOpened(Frozen):
    """A channel was opened. ``detail_commitment`` is SHA-256 over a salt and the command line, if there was one."""

    type: Literal["channel.opened"] = "channel.opened"
    session_id: SessionId
    channel: Count
    kind: ChannelKind
    capability: Capability
    detail_commitment: Sha256Hex | None = None


class ChannelRefused(Frozen):
    """A channel was refused."""

    type: Literal["channel.refused"] = "channel.refused"
    session_id: SessionId
    kind: ChannelKind
    reason: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")]
    detail_commitment: Sha256Hex | None = None


class ChannelClosed(Frozen):
    """A channel was closed."""

    type: Literal["channel.closed"] = "channel.closed"
    session_id: SessionId
    channel: Count
    outcome: ChannelOutcome
    exit_status: Annotated[int, Field(ge=0, le=255)] | None = None
    bytes_in: Count
    bytes_out: Count


class SessionEnded(Frozen):
    """A live session ended, and this is the proof of the kill."""

    type: Literal["session.ended"] = "session.ended"
    session_id: SessionId
    state: SessionState
    reason: Reason
    processes_left: Count
    kill_milliseconds: Count


EndpointEvent = Annotated[
    AgentStarted
    | AgentStopped
    | AccessChanged
    | SessionAsked
    | SessionGranted
    | SessionRefused
    | SessionNarrowed
    | PolicyChanged
    | PolicyRefused
    | SessionConnected
    | SessionConnectionRefused
    | SessionDisconnected
    | ChannelOpened
    | ChannelRefused
    | ChannelClosed
    | SessionEnded,
    Field(discriminator="type"),
]
"""What an endpoint reports, signed."""
