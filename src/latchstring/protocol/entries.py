"""Log entries: the bytes that a log's Merkle tree commits to.

An entry is the canonical JSON of ``{"version", "time", "event", "attestation"}``. ``time`` is the controller's clock
when it logged. For an event that an endpoint reported, ``attestation`` holds the statement's exact bytes and signature,
and ``event`` repeats the event in it, so that a reader needs to decode nothing to read a log, and a verifier compares
the two.
"""

import base64
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from latchstring.protocol.canonical_json import canonical_json
from latchstring.protocol.events import ENDPOINT_EVENT_TYPES, AuditEvent, ControllerEvent
from latchstring.protocol.grants import Frozen
from latchstring.protocol.ids import EndpointId
from latchstring.protocol.statements import SignedStatement, StatementError, VerifiedStatement, verify_statement
from latchstring.protocol.times import Timestamp


class EntryError(ValueError):
    """Bytes that are no entry, or an entry whose attestation does not hold."""


class Attestation(Frozen):
    """The endpoint's own words for an event."""

    endpoint_id: EndpointId
    signed: SignedStatement


class Entry(Frozen):
    """One entry of a log."""

    version: Literal[1] = 1
    time: Timestamp
    event: AuditEvent
    attestation: Attestation | None = None

    def canonical_bytes(self) -> bytes:
        """Return the bytes that are hashed into the tree."""
        return canonical_json(self.model_dump(mode="json"))


def controller_entry(event: ControllerEvent, *, time: str) -> Entry:
    """Make the entry for an event that the controller says itself."""
    return Entry(time=time, event=event)


def endpoint_entry(verified: VerifiedStatement, *, time: str) -> Entry:
    """Make the entry for what an endpoint reported."""
    attestation = Attestation(endpoint_id=verified.statement.endpoint_id, signed=verified.signed)
    return Entry(time=time, event=verified.statement.event, attestation=attestation)


def parse_entry(body: bytes) -> Entry:
    """Return the entry in ``body``.

    Raises:
        EntryError: it is none that this version knows, or not canonical.
    """
    try:
        entry = Entry.model_validate_json(body)
    except ValidationError as error:
        raise EntryError("not an entry that this version knows") from error
    if entry.canonical_bytes() != body:
        raise EntryError("the entry is not canonical JSON")
    return entry


def verify_attestation(entry: Entry, journal_keys: dict[str, Ed25519PublicKey]) -> None:
    """Check that an endpoint's event carries its endpoint's signature over that very event.

    1. An event that only an endpoint may report has an attestation; any other has none.
    2. The attestation's endpoint is known, and its journal key signed the statement.
    3. The statement's event is the entry's event.

    Raises:
        EntryError: a step failed.
    """
    if entry.attestation is None:
        if entry.event.type in ENDPOINT_EVENT_TYPES:
            raise EntryError(f"{entry.event.type} is not signed by an endpoint")
        return
    if entry.event.type not in ENDPOINT_EVENT_TYPES:
        raise EntryError(f"{entry.event.type} is no event that an endpoint reports")
    key = journal_keys.get(entry.attestation.endpoint_id)
    if key is None:
        raise EntryError(f"the journal key of {entry.attestation.endpoint_id} is not known")
    try:
        verified = verify_statement(
            entry.attestation.signed, endpoint_id=entry.attestation.endpoint_id, journal_key=key
        )
    except StatementError as error:
        raise EntryError(str(error)) from error
    if verified.statement.event != entry.event:
        raise EntryError("the entry's event is not the one that the endpoint signed")


def decode_statement(signed: SignedStatement) -> bytes:
    """Return the statement's bytes, unverified."""
    return base64.b64decode(signed.statement)
