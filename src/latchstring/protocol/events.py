"""Audit events: a closed union. Names are dotted and in the past tense; every success has its failure twin.

No event has a field that could carry content. Free text is bounded and checked (ticket, note); people appear as account
ids, whose names stand in the accounts' tables; what could be content (a command line, a path) appears only as a
commitment, whose opening stays in the customer's journal.

An event is either the controller's own, or reported by an endpoint in a signed statement
(:mod:`latchstring.protocol.statements`): :data:`EndpointEvent` and :data:`ControllerEvent` are disjoint.
"""

from enum import StrEnum
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, StringConstraints

from latchstring.protocol.access import AccessMode
from latchstring.protocol.capabilities import Capabilities, Capability
from latchstring.protocol.endings import Reason
from latchstring.protocol.grants import DurationSeconds, Frozen, Sha256Hex
from latchstring.protocol.ids import AccountId, CustomerId, EndpointId, EndpointName, SessionId
from latchstring.protocol.purposes import Note, Purpose, Ticket
from latchstring.protocol.session_state import SessionState
from latchstring.protocol.times import Timestamp

Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
IpAddress = Annotated[str, StringConstraints(pattern=r"^[0-9a-f.:]{2,45}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+-]{1,32}$")]
Fingerprint = Annotated[str, StringConstraints(pattern=r"^SHA256:[A-Za-z0-9+/]{43}$")]


class Role(StrEnum):
    """What an account of the vendor may do."""

    ENGINEER = "engineer"
    AUDITOR = "auditor"
    ADMIN = "admin"


class DecidedBy(StrEnum):
    """Who decided at the customer's: the stored policy, or a person, and through which door."""

    POLICY = "policy"
    CUSTOMER_CLI = "customer_cli"


class LoginFailure(StrEnum):
    """Why a login failed; people are told only that it did."""

    UNKNOWN_ACCOUNT = "unknown_account"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - the name of a reason
    TOO_MANY_ATTEMPTS = "too_many_attempts"


class EnrolmentFailure(StrEnum):
    """Why an enrolment was refused."""

    UNKNOWN_CODE = "unknown_code"
    USED_CODE = "used_code"
    EXPIRED_CODE = "expired_code"
    WRONG_SIGNATURE = "wrong_signature"
    BAD_KEYS = "bad_keys"


class ChannelKind(StrEnum):
    """What an SSH channel of a session was opened for."""

    SHELL = "shell"
    EXEC = "exec"
    SFTP = "sftp"
    FORWARD = "forward"


class ChannelOutcome(StrEnum):
    """How a channel ended."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    CLOSED = "closed"
    CUT = "cut"
    FAILED = "failed"


class RequestRefusal(StrEnum):
    """Why the controller itself turned a request away."""

    ROLE = "role"
    ENDPOINT_OFFLINE = "endpoint_offline"
    TOO_MANY_SESSIONS = "too_many_sessions"


class DialRefusal(StrEnum):
    """Why the controller refused to connect an engineer to an endpoint."""

    NOT_LIVE = "not_live"
    ENDPOINT_OFFLINE = "endpoint_offline"
    RELAY_BUSY = "relay_busy"


# --- the vendor's own log -------------------------------------------------------------------------------------------


class ControllerStarted(Frozen):
    """The controller began to write its logs."""

    type: Literal["controller.started"] = "controller.started"
    version: Version


class ControllerStopped(Frozen):
    """The controller stopped in order; a start without a stop before it is a crash."""

    type: Literal["controller.stopped"] = "controller.stopped"


class AccountCreated(Frozen):
    """An account was made on the controller's machine."""

    type: Literal["account.created"] = "account.created"
    account_id: AccountId
    role: Role


class LoginSucceeded(Frozen):
    """Somebody signed in."""

    type: Literal["login.succeeded"] = "login.succeeded"
    account_id: AccountId
    source: IpAddress


class LoginFailed(Frozen):
    """A sign-in was refused; ``account_id`` is None where there is no such account."""

    type: Literal["login.failed"] = "login.failed"
    account_id: AccountId | None
    source: IpAddress
    failure: LoginFailure


class LoggedOut(Frozen):
    """Somebody gave back a token."""

    type: Literal["login.ended"] = "login.ended"
    account_id: AccountId
    source: IpAddress


class CustomerAdded(Frozen):
    """A customer, and with it a log of its own, came to be."""

    type: Literal["customer.added"] = "customer.added"
    customer_id: CustomerId


class PermissionDenied(Frozen):
    """An account asked for what its role does not allow."""

    type: Literal["permission.denied"] = "permission.denied"
    account_id: AccountId
    source: IpAddress
    operation: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")]


# --- a customer's log, by the controller ----------------------------------------------------------------------------


class LogOpened(Frozen):
    """The first entry of every log."""

    type: Literal["log.opened"] = "log.opened"


class LogRead(Frozen):
    """Somebody read this log through the API."""

    type: Literal["log.read"] = "log.read"
    account_id: AccountId
    source: IpAddress
    operation: Literal["list", "show", "verify"]
    session_id: SessionId | None = None


class EndpointInvited(Frozen):
    """An enrolment code was made."""

    type: Literal["endpoint.invited"] = "endpoint.invited"
    endpoint_id: EndpointId
    endpoint_name: EndpointName


class EndpointEnrolled(Frozen):
    """A machine took up the invitation with these keys."""

    type: Literal["endpoint.enrolled"] = "endpoint.enrolled"
    endpoint_id: EndpointId
    source: IpAddress
    ssh_host_key: Fingerprint
    journal_key: Fingerprint


class EndpointEnrolmentRefused(Frozen):
    """Somebody tried to take up an invitation and failed."""

    type: Literal["endpoint.enrolment_refused"] = "endpoint.enrolment_refused"
    endpoint_id: EndpointId
    source: IpAddress
    failure: EnrolmentFailure


class EndpointConnected(Frozen):
    """An endpoint's control channel came up. ``clock_skew_seconds`` is its clock minus the controller's."""

    type: Literal["endpoint.connected"] = "endpoint.connected"
    endpoint_id: EndpointId
    source: IpAddress
    version: Version
    clock_skew_seconds: Annotated[int, Field(ge=-(2**53) + 1, le=2**53 - 1)]


class EndpointDisconnected(Frozen):
    """An endpoint's control channel went down."""

    type: Literal["endpoint.disconnected"] = "endpoint.disconnected"
    endpoint_id: EndpointId


class EndpointCertificateRenewed(Frozen):
    """An endpoint got a new tunnel certificate for a new key."""

    type: Literal["endpoint.certificate_renewed"] = "endpoint.certificate_renewed"
    endpoint_id: EndpointId


class EndpointRevoked(Frozen):
    """The vendor struck the endpoint off; its connection is cut."""

    type: Literal["endpoint.revoked"] = "endpoint.revoked"
    endpoint_id: EndpointId


class SessionRequested(Frozen):
    """An engineer asked for a session."""

    type: Literal["session.requested"] = "session.requested"
    session_id: SessionId
    endpoint_id: EndpointId
    account_id: AccountId
    source: IpAddress
    purpose: Purpose
    ticket: Ticket | None
    note: Note | None
    capabilities: Capabilities
    duration_seconds: DurationSeconds
    engineer_key: Fingerprint


class SessionRequestRefused(Frozen):
    """The controller turned a request away before the endpoint saw it."""

    type: Literal["session.request_refused"] = "session.request_refused"
    endpoint_id: EndpointId
    account_id: AccountId
    source: IpAddress
    purpose: Purpose
    ticket: Ticket | None
    refusal: RequestRefusal


class SessionWithdrawn(Frozen):
    """The engineer took a request back."""

    type: Literal["session.withdrawn"] = "session.withdrawn"
    session_id: SessionId
    account_id: AccountId
    source: IpAddress


class SessionLapsed(Frozen):
    """Nobody answered a request in time."""

    type: Literal["session.lapsed"] = "session.lapsed"
    session_id: SessionId


class SessionCloseRequested(Frozen):
    """Somebody at the vendor's asked to end a live session; the endpoint's proof follows as ``session.ended``."""

    type: Literal["session.close_requested"] = "session.close_requested"
    session_id: SessionId
    account_id: AccountId
    source: IpAddress
    reason: Literal[Reason.CLOSED_BY_ENGINEER, Reason.ENDED_BY_ADMINISTRATOR]


class SessionLost(Frozen):
    """The controller gave a session up, without proof from the endpoint."""

    type: Literal["session.lost"] = "session.lost"
    session_id: SessionId
    reason: Reason


class SessionDialled(Frozen):
    """An engineer's client was given a certificate and a ticket for the relay."""

    type: Literal["session.dialled"] = "session.dialled"
    session_id: SessionId
    account_id: AccountId
    source: IpAddress


class SessionDialRefused(Frozen):
    """An engineer's client was refused a connection."""

    type: Literal["session.dial_refused"] = "session.dial_refused"
    endpoint_id: EndpointId
    account_id: AccountId
    source: IpAddress
    refusal: DialRefusal


class RelayClosed(Frozen):
    """One relayed connection ended; bytes of ciphertext that the relay carried."""

    type: Literal["relay.closed"] = "relay.closed"
    session_id: SessionId
    bytes_from_engineer: Count
    bytes_from_endpoint: Count


# --- a customer's log, by the endpoint, signed ------------------------------------------------------------------------


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
    by: Literal["customer_cli", "timer", "vendor"]
    until: Timestamp | None = None


class SessionAsked(Frozen):
    """The endpoint put the question to its customer."""

    type: Literal["session.asked"] = "session.asked"
    session_id: SessionId


class SessionGranted(Frozen):
    """The customer's side said yes, to exactly the grant with this digest."""

    type: Literal["session.granted"] = "session.granted"
    session_id: SessionId
    grant_digest: Sha256Hex
    capabilities: Capabilities
    duration_seconds: DurationSeconds
    decided_by: DecidedBy


class SessionRefused(Frozen):
    """The customer's side said no."""

    type: Literal["session.refused"] = "session.refused"
    session_id: SessionId
    reason: Reason
    decided_by: DecidedBy
    note: Note | None = None


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


ControllerEvent = Annotated[
    ControllerStarted
    | ControllerStopped
    | AccountCreated
    | LoginSucceeded
    | LoginFailed
    | LoggedOut
    | CustomerAdded
    | PermissionDenied
    | LogOpened
    | LogRead
    | EndpointInvited
    | EndpointEnrolled
    | EndpointEnrolmentRefused
    | EndpointConnected
    | EndpointDisconnected
    | EndpointCertificateRenewed
    | EndpointRevoked
    | SessionRequested
    | SessionRequestRefused
    | SessionWithdrawn
    | SessionLapsed
    | SessionCloseRequested
    | SessionLost
    | SessionDialled
    | SessionDialRefused
    | RelayClosed,
    Field(discriminator="type"),
]
"""What the controller says itself."""

EndpointEvent = Annotated[
    AgentStarted
    | AgentStopped
    | AccessChanged
    | SessionAsked
    | SessionGranted
    | SessionRefused
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

AuditEvent = Annotated[ControllerEvent | EndpointEvent, Field(discriminator="type")]
"""Every event that a log can hold."""


def _types(union: object) -> frozenset[str]:
    members = get_args(get_args(union)[0])
    return frozenset(member.model_fields["type"].default for member in members)


CONTROLLER_EVENT_TYPES: Final = _types(ControllerEvent)
ENDPOINT_EVENT_TYPES: Final = _types(EndpointEvent)
