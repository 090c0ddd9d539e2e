"""Bodies of the HTTPS API (``/api/v1``), shared by the controller that answers and the client that asks."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, StringConstraints, model_validator

from latchstring.protocol.access import AccessMode
from latchstring.protocol.capabilities import Capabilities
from latchstring.protocol.endings import Reason
from latchstring.protocol.events import Count, Role
from latchstring.protocol.grants import (
    DurationSeconds,
    EmailAddress,
    Engineer,
    Frozen,
    Sha256Hex,
    SshPublicKey,
)
from latchstring.protocol.ids import AccountId, CustomerId, DialId, EndpointId, EndpointName, SessionId
from latchstring.protocol.messages import Host, Pem, Port
from latchstring.protocol.plain_text import DisplayName
from latchstring.protocol.purposes import Note, Purpose, Ticket, require_ticket
from latchstring.protocol.session_state import SessionState
from latchstring.protocol.times import Timestamp

API_PREFIX: Final = "/api/v1"
MAX_BODY_BYTES: Final = 64 * 1024
MAX_PAGE: Final = 1000

Password = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class RootResponse(Frozen):
    """The controller's name and its root certificate, so that a fingerprint can be compared with it."""

    controller_name: Host
    root_certificate: Pem


class LoginRequest(Frozen):
    """Somebody signs in."""

    email: EmailAddress
    password: Password = Field(repr=False)


class LoginResponse(Frozen):
    """A bearer token, shown once, and what an engineer's SSH client needs to trust."""

    token: Annotated[str, StringConstraints(max_length=200)] = Field(repr=False)
    expires_at: Timestamp
    account_id: AccountId
    name: DisplayName
    role: Role
    ssh_host_ca: SshPublicKey


class EndpointView(Frozen):
    """An endpoint as engineers see it."""

    id: EndpointId
    name: EndpointName
    customer: DisplayName
    customer_id: CustomerId
    online: bool
    access: AccessMode | None
    agent_version: str | None
    last_seen_at: Timestamp | None
    clock_skew_seconds: int | None
    live_sessions: Count


class EndpointList(Frozen):
    """All endpoints."""

    endpoints: tuple[EndpointView, ...]


class SessionRequest(Frozen):
    """An engineer asks for a session."""

    endpoint: EndpointName
    purpose: Purpose
    ticket: Ticket | None = None
    note: Note | None = None
    capabilities: Capabilities
    duration_seconds: DurationSeconds
    ssh_public_key: SshPublicKey

    @model_validator(mode="after")
    def _ticket_where_needed(self) -> "SessionRequest":
        require_ticket(self.purpose, self.ticket)
        return self


class SessionView(Frozen):
    """A session as its engineer and auditors see it. Times are the controller's."""

    id: SessionId
    state: SessionState
    endpoint: EndpointName
    endpoint_id: EndpointId
    customer: DisplayName
    engineer: Engineer
    purpose: Purpose
    ticket: Ticket | None
    note: Note | None
    requested_capabilities: Capabilities
    capabilities: Capabilities | None
    requested_seconds: DurationSeconds
    granted_seconds: DurationSeconds | None
    requested_at: Timestamp
    granted_at: Timestamp | None
    expires_at: Timestamp | None
    ended_at: Timestamp | None
    reason: Reason | None
    explanation: str | None


class SessionList(Frozen):
    """Sessions, newest first."""

    sessions: tuple[SessionView, ...]


class DialRequest(Frozen):
    """An engineer's SSH client wants a connection to this endpoint, in the newest live session there."""

    endpoint: EndpointName


class DialResponse(Frozen):
    """All that a connection needs: the session's certificate, and a ticket for the relay (15 s, single use)."""

    session_id: SessionId
    certificate: Annotated[str, StringConstraints(max_length=4000)]
    dial_id: DialId
    relay_host: Host
    relay_port: Port
    secret: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(repr=False)


class LogName(StrEnum):
    """Which logs a reading covers: one customer's, or the vendor's own."""

    OPERATOR = "operator"


class LogView(Frozen):
    """One log: whose it is, its size, and its newest signed checkpoint."""

    id: str
    customer: DisplayName | None
    size: Count
    checkpoint: str
    verifier_key: str


class LogList(Frozen):
    """The logs that the asker may read."""

    logs: tuple[LogView, ...]


class EntryView(Frozen):
    """One entry: its place, and the exact bytes that the tree commits to (base64)."""

    index: Count
    entry: str


class EntryPage(Frozen):
    """Entries ``start``, ``start + 1`` and so on; ``next`` is where to go on, None at the end."""

    log: str
    size: Count
    entries: tuple[EntryView, ...]
    next: Count | None


class JournalKey(Frozen):
    """The key with which an endpoint signs its statements (hex)."""

    endpoint_id: EndpointId
    endpoint: EndpointName
    key: Sha256Hex


class JournalKeyList(Frozen):
    """The journal keys of one customer's endpoints."""

    keys: tuple[JournalKey, ...]
