"""Rows as the services see them: frozen, with the protocol's own types."""

from dataclasses import dataclass, field
from datetime import datetime

from latchstring.protocol.access import AccessMode
from latchstring.protocol.endings import Reason
from latchstring.protocol.events import Role
from latchstring.protocol.frontier import Frontier
from latchstring.protocol.grants import Engineer, Offer
from latchstring.protocol.purposes import Purpose
from latchstring.protocol.session_state import SessionState


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer. The id also names its log."""

    id: str
    name: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A machine of a customer, from its invitation on."""

    id: str
    name: str
    customer_id: str
    customer_name: str
    invited_at: datetime
    enrolled_at: datetime | None
    revoked_at: datetime | None
    ssh_host_key: str | None
    journal_key: str | None
    next_sequence: int
    access: AccessMode | None
    agent_version: str | None
    last_seen_at: datetime | None
    clock_skew_seconds: int | None

    @property
    def is_enrolled(self) -> bool:
        """Whether it may connect."""
        return self.enrolled_at is not None and self.revoked_at is None


@dataclass(frozen=True, slots=True)
class Invitation:
    """An enrolment code's public half."""

    public_key: str
    endpoint_id: str
    expires_at: datetime
    used_at: datetime | None = None
    voided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who works at the vendor's."""

    id: str
    email: str
    name: str
    role: Role
    created_at: datetime
    password_hash: str = field(repr=False)
    disabled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """Somebody's sign-in, known by the SHA-256 of what was shown."""

    sha256: str = field(repr=False)
    account_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """A session, with the names that its endpoint, customer and engineer bear now."""

    id: str
    endpoint_id: str
    endpoint_name: str
    customer_id: str
    customer_name: str
    engineer: Engineer
    ssh_public_key: str
    purpose: Purpose
    ticket: str | None
    note: str | None
    requested_capabilities: tuple[str, ...]
    requested_seconds: int
    requested_at: datetime
    state: SessionState
    grant_digest: str | None = None
    capabilities: tuple[str, ...] | None = None
    granted_seconds: int | None = None
    granted_at: datetime | None = None
    expires_at: datetime | None = None
    close_reason: Reason | None = None
    ended_at: datetime | None = None
    reason: Reason | None = None
    opens: str | None = None

    def offer(self) -> Offer:
        """Return the offer that its endpoint decides on."""
        return Offer(
            session_id=self.id,
            endpoint_id=self.endpoint_id,
            endpoint_name=self.endpoint_name,
            customer_id=self.customer_id,
            engineer=self.engineer,
            ssh_public_key=self.ssh_public_key,
            purpose=self.purpose,
            ticket=self.ticket,
            note=self.note,
            capabilities=self.requested_capabilities,
            duration_seconds=self.requested_seconds,
        )


@dataclass(frozen=True, slots=True)
class LogHead:
    """A log as far as it has grown, and the signed checkpoint that says so."""

    log_id: str
    frontier: Frontier
    checkpoint: str

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.frontier.size


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry's row: the bytes that the tree commits to, and what they are found by."""

    index: int
    type: str
    session_id: str | None
    body: bytes = field(repr=False)
