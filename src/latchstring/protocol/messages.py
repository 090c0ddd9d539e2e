"""Messages on the standing connection between endpoint and controller.

One WebSocket over mutually authenticated TLS 1.3, dialled by the endpoint. Each text frame is one JSON object with a
``type``; frames are at most :data:`MAX_MESSAGE_BYTES`. Unknown types and fields close the channel: what changes is
negotiated, not guessed.

Flow::

    endpoint                                   controller
    hello(versions, access, live sessions) ──▶
                                           ◀── welcome(version, acknowledged)   or   goodbye(code, retry_after)
    report(statement) … in sequence order  ──▶
                                           ◀── acknowledged(sequence): it is durable in the customer's log
                                           ◀── offer, withdraw, end_session, dial_relay
    dial_failed, renew_certificate         ──▶

Reports repeat from the first that was not acknowledged, so a connection may die anywhere. Versions: 1 is the first.
"""

import functools
from enum import StrEnum
from typing import Annotated, Final, Literal, TypeVar

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from latchstring.protocol.access import AccessMode
from latchstring.protocol.endings import Reason
from latchstring.protocol.event_fields import Count, Version
from latchstring.protocol.grants import Frozen
from latchstring.protocol.grants import Offer as OfferBody
from latchstring.protocol.ids import DialId, EndpointId, SessionId
from latchstring.protocol.statements import SignedStatement
from latchstring.protocol.times import Timestamp

_Message = TypeVar("_Message")

PROTOCOL_VERSIONS: Final = (1,)
MAX_MESSAGE_BYTES: Final = 64 * 1024
CONTROL_PATH: Final = "/control"
HEARTBEAT_SECONDS: Final = 10.0

Pem = Annotated[str, StringConstraints(max_length=20_000)]
Host = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[0-9A-Za-z._:-]+$")]
Port = Annotated[int, Field(ge=1, le=65535)]
HexSecret = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class MessageError(ValueError):
    """A frame that is no message of this version."""


class GoodbyeCode(StrEnum):
    """Why a controller closes a control channel."""

    VERSION = "version"
    REVOKED = "revoked"
    REPLACED = "replaced"
    RESTARTING = "restarting"
    BUSY = "busy"
    JOURNAL_BEHIND = "journal_behind"
    MALFORMED = "malformed"


class DialFailure(StrEnum):
    """Why an endpoint did not come to the relay."""

    NOT_LIVE = "not_live"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"


class Hello(Frozen):
    """The endpoint introduces itself; who it is stands in its client certificate."""

    type: Literal["hello"] = "hello"
    versions: Annotated[tuple[int, ...], Field(min_length=1, max_length=16)]
    agent_version: Version
    time: Timestamp
    access: AccessMode
    journal_size: Count
    live_sessions: Annotated[tuple[SessionId, ...], Field(max_length=1000)] = ()


class Report(Frozen):
    """One statement of the endpoint's journal."""

    type: Literal["report"] = "report"
    signed: SignedStatement


class DialFailed(Frozen):
    """The endpoint could not or would not come to the relay."""

    type: Literal["dial_failed"] = "dial_failed"
    session_id: SessionId
    dial_id: DialId
    failure: DialFailure


class RenewCertificate(Frozen):
    """The endpoint asks for a new tunnel certificate for the key in this signing request."""

    type: Literal["renew_certificate"] = "renew_certificate"
    signing_request: Pem


class Welcome(Frozen):
    """The controller accepts the channel. ``acknowledged`` reports are durable: the next wanted has this sequence."""

    type: Literal["welcome"] = "welcome"
    version: int
    time: Timestamp
    endpoint_id: EndpointId
    acknowledged: Count


class Goodbye(Frozen):
    """The controller closes the channel, and says when to come back."""

    type: Literal["goodbye"] = "goodbye"
    code: GoodbyeCode
    retry_after_seconds: Annotated[int, Field(ge=0, le=86_400)]


class Acknowledged(Frozen):
    """Every report with a lower sequence is durable in the customer's log."""

    type: Literal["acknowledged"] = "acknowledged"
    next_sequence: Count


class Offer(Frozen):
    """An engineer asks for a session."""

    type: Literal["offer"] = "offer"
    offer: OfferBody


class Withdraw(Frozen):
    """A request that has no decision yet is void."""

    type: Literal["withdraw"] = "withdraw"
    session_id: SessionId
    reason: Literal[Reason.WITHDRAWN, Reason.UNANSWERED, Reason.ENDED_BY_ADMINISTRATOR]


class EndSession(Frozen):
    """A session is to end now."""

    type: Literal["end_session"] = "end_session"
    session_id: SessionId
    reason: Literal[
        Reason.CLOSED_BY_ENGINEER, Reason.ENDED_BY_ADMINISTRATOR, Reason.ENDPOINT_REVOKED, Reason.CONTROLLER_FORGOT
    ]


class DialRelay(Frozen):
    """The endpoint is to come to the relay for one SSH connection, with this ticket."""

    type: Literal["dial_relay"] = "dial_relay"
    session_id: SessionId
    dial_id: DialId
    host: Host
    port: Port
    secret: HexSecret = Field(repr=False)


class CertificateRenewed(Frozen):
    """The new tunnel certificate."""

    type: Literal["certificate_renewed"] = "certificate_renewed"
    certificate: Pem


FromEndpoint = Annotated[Hello | Report | DialFailed | RenewCertificate, Field(discriminator="type")]
FromController = Annotated[
    Welcome | Goodbye | Acknowledged | Offer | Withdraw | EndSession | DialRelay | CertificateRenewed,
    Field(discriminator="type"),
]


@functools.cache
def _from_endpoint() -> TypeAdapter[FromEndpoint]:
    return TypeAdapter(FromEndpoint)  # made when needed: either party decodes only what the other says


@functools.cache
def _from_controller() -> TypeAdapter[FromController]:
    return TypeAdapter(FromController)


def encode_message(message: FromEndpoint | FromController) -> str:
    """Return the frame for ``message``."""
    return message.model_dump_json()


def decode_from_endpoint(frame: str) -> FromEndpoint:
    """Return the endpoint's message in ``frame``.

    Raises:
        MessageError: it is none.
    """
    return _decode(_from_endpoint(), frame)


def decode_from_controller(frame: str) -> FromController:
    """Return the controller's message in ``frame``.

    Raises:
        MessageError: it is none.
    """
    return _decode(_from_controller(), frame)


def _decode(adapter: TypeAdapter[_Message], frame: str) -> _Message:
    if len(frame) > MAX_MESSAGE_BYTES:
        raise MessageError(f"a message has at most {MAX_MESSAGE_BYTES} characters")
    try:
        return adapter.validate_json(frame)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise MessageError(f"malformed message at {place or 'top'}: {first['type']}") from error


def negotiate_version(offered: tuple[int, ...], supported: tuple[int, ...] = PROTOCOL_VERSIONS) -> int | None:
    """Return the highest version that both sides know, None if there is none."""
    return max(set(offered) & set(supported), default=None)
