"""What travels over the control socket."""

import functools
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from latchstring.endpoint.relay_way import RelayWay
from latchstring.protocol.access import AccessMode
from latchstring.protocol.capabilities import Capabilities
from latchstring.protocol.event_fields import Count, Fingerprint
from latchstring.protocol.grants import DurationSeconds, Engineer, Frozen
from latchstring.protocol.ids import EndpointId, EndpointName, SessionId
from latchstring.protocol.plain_text import DisplayName
from latchstring.protocol.purposes import Note, Purpose, Ticket
from latchstring.protocol.session_state import SessionState
from latchstring.protocol.times import Timestamp

MAX_REQUEST_BYTES: Final = 16 * 1024
MAX_REPLY_BYTES: Final = 1024 * 1024


class GetAccess(Frozen):
    """Where does the switch stand?"""

    command: Literal["get_access"] = "get_access"


class SetAccess(Frozen):
    """Move the switch, for a time or for good."""

    command: Literal["set_access"] = "set_access"
    mode: AccessMode
    seconds: DurationSeconds | None = None


class GetStatus(Frozen):
    """How is the agent?"""

    command: Literal["get_status"] = "get_status"


class ReloadPolicy(Frozen):
    """Read the policy's file again."""

    command: Literal["reload_policy"] = "reload_policy"


class ListRequests(Frozen):
    """Which requests wait for an answer?"""

    command: Literal["list_requests"] = "list_requests"


class Approve(Frozen):
    """Say yes, to all that may be granted or to less."""

    command: Literal["approve"] = "approve"
    id: str
    capabilities: Capabilities | None = None
    seconds: DurationSeconds | None = None


class Refuse(Frozen):
    """Say no."""

    command: Literal["refuse"] = "refuse"
    id: str
    note: Note | None = None


class ListSessions(Frozen):
    """Which sessions are live?"""

    command: Literal["list_sessions"] = "list_sessions"


class End(Frozen):
    """End a session at once."""

    command: Literal["end"] = "end"
    id: str


Request = Annotated[
    GetAccess | SetAccess | GetStatus | ReloadPolicy | ListRequests | Approve | Refuse | ListSessions | End,
    Field(discriminator="command"),
]


class AccessAnswer(Frozen):
    """Where the switch stands. ``until`` and ``then`` say that and how it moves by itself.

    After ``access off`` also what that did: the sessions that it ended, the requests that it refused, how many
    processes are left, how long it took, and ``note``, what the customer should know beside.
    """

    access: AccessMode
    until: Timestamp | None = None
    then: AccessMode | None = None
    sessions_ended: Count = 0
    requests_refused: Count = 0
    requests_waiting: Count = 0
    processes_left: Count = 0
    milliseconds: Count = 0
    note: str | None = None


class StatusAnswer(Frozen):
    """How the endpoint is. What only a running agent knows is None without one."""

    running: bool
    endpoint: EndpointName
    endpoint_id: EndpointId
    customer: DisplayName
    controller: str
    access: AccessMode
    access_until: Timestamp | None = None
    access_then: AccessMode | None = None
    agent_version: str | None = None
    connected: bool = False
    connection_problem: str | None = None
    relay_way: RelayWay | None = None
    clock_skew_seconds: int | None = None
    requests_waiting: Count = 0
    live_sessions: Count = 0
    journal_available: bool | None = None
    journal_size: Count | None = None
    journal_acknowledged: Count | None = None
    sandbox_problem: str | None = None
    policy_problem: str | None = None
    sessions_run_as: str | None = None


class RequestView(Frozen):
    """A request that waits: who asks, why, for what, for how long, and until when it waits."""

    id: SessionId
    engineer: Engineer
    engineer_key: Fingerprint
    purpose: Purpose
    ticket: Ticket | None
    note: Note | None
    requested_capabilities: Capabilities
    capabilities: Capabilities
    requested_seconds: DurationSeconds
    seconds: DurationSeconds
    received_at: Timestamp
    lapses_in_seconds: Count


class RequestList(Frozen):
    """The requests that wait, oldest first."""

    requests: tuple[RequestView, ...]


class SessionView(Frozen):
    """A live session: who is in, why, with what, and for how long still."""

    id: SessionId
    state: SessionState
    engineer: Engineer
    engineer_key: Fingerprint
    purpose: Purpose
    ticket: Ticket | None
    note: Note | None
    capabilities: Capabilities
    seconds: DurationSeconds
    granted_at: Timestamp
    expires_at: Timestamp
    seconds_left: Count
    connections: Count


class SessionList(Frozen):
    """The live sessions, oldest first."""

    sessions: tuple[SessionView, ...]


class Decided(Frozen):
    """An answer was taken. ``note`` is what the customer should know beside."""

    id: SessionId
    decision: Literal["approved", "refused"]
    engineer: Engineer
    capabilities: Capabilities | None = None
    seconds: DurationSeconds | None = None
    note: str | None = None


class Ended(Frozen):
    """A session ended, with the proof of the kill."""

    id: SessionId
    state: SessionState
    processes_left: Count
    milliseconds: Count


class PolicyAnswer(Frozen):
    """The policy's file was read; ``changed`` says whether another policy is in force now."""

    changed: bool
    sessions_ended: Count
    requests_refused: Count


class FailureKind(StrEnum):
    """What kind of failure it is, and so which exit code."""

    FAILED = "failed"
    USAGE = "usage"
    REFUSED = "refused"


class Progress(Frozen):
    """It goes on."""

    type: Literal["progress"] = "progress"
    text: str


class Answer(Frozen):
    """The answer; what it is follows from the request."""

    type: Literal["answer"] = "answer"
    answer: AccessAnswer | StatusAnswer | PolicyAnswer | RequestList | SessionList | Decided | Ended


class Failure(Frozen):
    """It failed; one line says what is wrong and what to do."""

    type: Literal["failure"] = "failure"
    kind: FailureKind
    text: str


Reply = Annotated[Progress | Answer | Failure, Field(discriminator="type")]


@functools.cache
def _requests() -> TypeAdapter[Request]:
    return TypeAdapter(Request)  # made when needed: the agent decodes requests, and the commands replies


@functools.cache
def _replies() -> TypeAdapter[Reply]:
    return TypeAdapter(Reply)


def encode(message: Request | Reply) -> bytes:
    """Return the line for a request or a reply."""
    return message.model_dump_json().encode() + b"\n"


def decode_request(line: bytes) -> Request:
    """Return the request on a line.

    Raises:
        ValueError: there is none.
    """
    try:
        return _requests().validate_json(line)
    except ValidationError as error:
        raise ValueError(_explain(error)) from error


def decode_reply(line: bytes) -> Reply:
    """Return the reply on a line.

    Raises:
        ValueError: there is none.
    """
    try:
        return _replies().validate_json(line)
    except ValidationError as error:
        raise ValueError(_explain(error)) from error


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return str(first["msg"]).removeprefix("Value error, ")
