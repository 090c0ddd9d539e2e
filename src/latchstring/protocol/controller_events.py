"""Audit events that the controller says itself: in the vendor's own log, then in a customer's."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from latchstring.protocol.capabilities import Capabilities
from latchstring.protocol.endings import Reason
from latchstring.protocol.event_fields import (
    Count,
    DialRefusal,
    EnrolmentFailure,
    Fingerprint,
    IpAddress,
    LoginFailure,
    RequestRefusal,
    Role,
    Version,
)
from latchstring.protocol.grants import DurationSeconds, Frozen
from latchstring.protocol.ids import AccountId, CustomerId, EndpointId, EndpointName, SessionId
from latchstring.protocol.purposes import Note, Purpose, Ticket


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


class AccountDisabled(Frozen):
    """An account was locked on the controller's machine: its tokens are void, and it cannot sign in."""

    type: Literal["account.disabled"] = "account.disabled"
    account_id: AccountId


class AccountEnabled(Frozen):
    """An account that was disabled may sign in again."""

    type: Literal["account.enabled"] = "account.enabled"
    account_id: AccountId


class AccountPasswordChanged(Frozen):
    """An account got another password on the controller's machine; its tokens are void."""

    type: Literal["account.password_changed"] = "account.password_changed"
    account_id: AccountId


class AccountRoleChanged(Frozen):
    """An account got another role on the controller's machine."""

    type: Literal["account.role_changed"] = "account.role_changed"
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


class RefusalsCounted(Frozen):
    """So many refusals of a kind, beyond those that have an entry each, in whichever log these would have been.

    ``account_id`` is None where no account was refused, but strangers. It stands in the vendor's own log.
    """

    type: Literal["refusals.counted"] = "refusals.counted"
    refused: Literal[
        "endpoint.enrolment_refused",
        "login.failed",
        "permission.denied",
        "session.request_refused",
        "session.dial_refused",
    ]
    account_id: AccountId | None
    count: Count


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
    """Somebody tried to take up an invitation and failed.

    ``endpoint_id`` is None where there is no such invitation; this then stands in the vendor's own log.
    """

    type: Literal["endpoint.enrolment_refused"] = "endpoint.enrolment_refused"
    endpoint_id: EndpointId | None
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


class SessionAccountBarred(Frozen):
    """A live session's account was disabled, or its role may hold none any more; ``session.ended`` follows as proof."""

    type: Literal["session.account_barred"] = "session.account_barred"
    session_id: SessionId


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
