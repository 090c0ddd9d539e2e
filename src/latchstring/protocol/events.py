"""Audit events: a closed union. Names are dotted and in the past tense; every success has its failure twin.

No event has a field that could carry content. Free text is bounded and checked (ticket, note); people appear as account
ids, whose names stand in the accounts' tables; what could be content (a command line, a path) appears only as a
commitment, whose opening stays in the customer's journal.

An event is either the controller's own, or reported by an endpoint in a signed statement
(:mod:`latchstring.protocol.statements`): :data:`EndpointEvent` and :data:`ControllerEvent` are disjoint.
"""

from typing import Annotated, Final, get_args

from pydantic import Field

from latchstring.protocol.controller_events import (
    AccountCreated,
    AccountDisabled,
    AccountEnabled,
    AccountPasswordChanged,
    AccountRoleChanged,
    ControllerStarted,
    ControllerStopped,
    CustomerAdded,
    EndpointCertificateRenewed,
    EndpointConnected,
    EndpointDisconnected,
    EndpointEnrolled,
    EndpointEnrolmentRefused,
    EndpointInvited,
    EndpointRevoked,
    LoggedOut,
    LoginFailed,
    LoginSucceeded,
    LogOpened,
    LogRead,
    PermissionDenied,
    RefusalsCounted,
    RelayClosed,
    SessionAccountBarred,
    SessionCloseRequested,
    SessionDialled,
    SessionDialRefused,
    SessionLapsed,
    SessionLost,
    SessionRequested,
    SessionRequestRefused,
    SessionWithdrawn,
)
from latchstring.protocol.endpoint_events import (
    AccessChanged,
    AgentStarted,
    AgentStopped,
    ChannelClosed,
    ChannelOpened,
    ChannelRefused,
    EndpointEvent,
    PolicyChanged,
    PolicyRefused,
    SessionAsked,
    SessionConnected,
    SessionConnectionRefused,
    SessionDisconnected,
    SessionEnded,
    SessionGranted,
    SessionNarrowed,
    SessionRefused,
)
from latchstring.protocol.event_fields import (
    ChannelKind,
    ChannelOutcome,
    Count,
    DecidedBy,
    DialRefusal,
    EnrolmentFailure,
    Fingerprint,
    IpAddress,
    LoginFailure,
    RequestRefusal,
    Role,
    Version,
)

__all__ = [
    "CONTROLLER_EVENT_TYPES",
    "ENDPOINT_EVENT_TYPES",
    "AccessChanged",
    "AccountCreated",
    "AccountDisabled",
    "AccountEnabled",
    "AccountPasswordChanged",
    "AccountRoleChanged",
    "AgentStarted",
    "AgentStopped",
    "AuditEvent",
    "ChannelClosed",
    "ChannelKind",
    "ChannelOpened",
    "ChannelOutcome",
    "ChannelRefused",
    "ControllerEvent",
    "ControllerStarted",
    "ControllerStopped",
    "Count",
    "CustomerAdded",
    "DecidedBy",
    "DialRefusal",
    "EndpointCertificateRenewed",
    "EndpointConnected",
    "EndpointDisconnected",
    "EndpointEnrolled",
    "EndpointEnrolmentRefused",
    "EndpointEvent",
    "EndpointInvited",
    "EndpointRevoked",
    "EnrolmentFailure",
    "Fingerprint",
    "IpAddress",
    "LogOpened",
    "LogRead",
    "LoggedOut",
    "LoginFailed",
    "LoginFailure",
    "LoginSucceeded",
    "PermissionDenied",
    "PolicyChanged",
    "PolicyRefused",
    "RefusalsCounted",
    "RelayClosed",
    "RequestRefusal",
    "Role",
    "SessionAccountBarred",
    "SessionAsked",
    "SessionCloseRequested",
    "SessionConnected",
    "SessionConnectionRefused",
    "SessionDialRefused",
    "SessionDialled",
    "SessionDisconnected",
    "SessionEnded",
    "SessionGranted",
    "SessionLapsed",
    "SessionLost",
    "SessionNarrowed",
    "SessionRefused",
    "SessionRequestRefused",
    "SessionRequested",
    "SessionWithdrawn",
    "Version",
]

ControllerEvent = Annotated[
    ControllerStarted
    | ControllerStopped
    | AccountCreated
    | AccountDisabled
    | AccountEnabled
    | AccountPasswordChanged
    | AccountRoleChanged
    | LoginSucceeded
    | LoginFailed
    | LoggedOut
    | CustomerAdded
    | PermissionDenied
    | RefusalsCounted
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
    | SessionAccountBarred
    | SessionLost
    | SessionDialled
    | SessionDialRefused
    | RelayClosed,
    Field(discriminator="type"),
]
"""What the controller says itself."""

AuditEvent = Annotated[ControllerEvent | EndpointEvent, Field(discriminator="type")]
"""Every event that a log can hold."""


def _types(union: object) -> frozenset[str]:
    members = get_args(get_args(union)[0])
    return frozenset(member.model_fields["type"].default for member in members)


CONTROLLER_EVENT_TYPES: Final = _types(ControllerEvent)
ENDPOINT_EVENT_TYPES: Final = _types(EndpointEvent)
