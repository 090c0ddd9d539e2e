"""A grant: exactly what the customer consented to, and the digest that binds a session certificate to it.

The endpoint composes the grant from the vendor's offer and its own policy. Its canonical JSON (RFC 8785) is hashed with
SHA-256; the digest stands in the session certificate, and the SSH server compares it with the grant in its own table.
"""

import hashlib
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from latchstring.protocol.canonical_json import canonical_json
from latchstring.protocol.capabilities import Capabilities
from latchstring.protocol.ids import AccountId, CustomerId, EndpointId, EndpointName, SessionId
from latchstring.protocol.plain_text import DisplayName
from latchstring.protocol.purposes import Note, Purpose, Ticket, require_ticket

MIN_DURATION_SECONDS: Final = 1
MAX_DURATION_SECONDS: Final = 7 * 24 * 3600

EmailAddress = Annotated[str, StringConstraints(max_length=254, pattern=r"^[!-?A-~]+@[!-?A-~]+$")]
"""Printable ASCII only: an address is what people tell namesakes apart by, and letters of other scripts look alike."""
SshPublicKey = Annotated[str, StringConstraints(max_length=1000, pattern=r"^ssh-ed25519 [A-Za-z0-9+/=]{60,120}$")]
"""An OpenSSH Ed25519 public key on one line, without a comment."""

DurationSeconds = Annotated[int, Field(strict=True, ge=MIN_DURATION_SECONDS, le=MAX_DURATION_SECONDS)]
Sha256Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Frozen(BaseModel):
    """A value that travels: immutable, and closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Engineer(Frozen):
    """The vendor's account that asks, as the controller vouches for it."""

    account_id: AccountId
    name: DisplayName
    email: EmailAddress


class Offer(Frozen):
    """What an engineer asks for: the body of a request that an endpoint decides on."""

    session_id: SessionId
    endpoint_id: EndpointId
    endpoint_name: EndpointName
    customer_id: CustomerId
    engineer: Engineer
    ssh_public_key: SshPublicKey
    purpose: Purpose
    ticket: Ticket | None = None
    note: Note | None = None
    capabilities: Capabilities
    duration_seconds: DurationSeconds

    @model_validator(mode="after")
    def _ticket_where_needed(self) -> "Offer":
        require_ticket(self.purpose, self.ticket)
        return self


class Grant(Offer):
    """What the customer consented to. Never wider than the offer: see :func:`grant_from_offer`."""

    version: Literal[1] = 1

    def canonical_bytes(self) -> bytes:
        """Return the grant as canonical JSON (RFC 8785)."""
        return canonical_json(self.model_dump(mode="json"))

    def digest(self) -> str:
        """Return the SHA-256 of :meth:`canonical_bytes`, in lower-case hex."""
        return hashlib.sha256(self.canonical_bytes()).hexdigest()


def grant_from_offer(offer: Offer, *, capabilities: tuple[str, ...], duration_seconds: int) -> Grant:
    """Compose the grant that answers ``offer``, narrowed to ``capabilities`` and ``duration_seconds``.

    Raises:
        ValueError: it would be wider than the offer.
    """
    if not set(capabilities) <= set(offer.capabilities):
        raise ValueError("a grant cannot have a capability that was not asked for")
    if duration_seconds > offer.duration_seconds:
        raise ValueError("a grant cannot last longer than was asked for")
    narrowed = {**offer.model_dump(), "capabilities": capabilities, "duration_seconds": duration_seconds}
    return Grant.model_validate(narrowed)
