"""Statements: what an endpoint reports, in its own words and under its own signature.

A statement is the canonical JSON of ``{"version", "endpoint_id", "sequence", "time", "event"}``. ``sequence`` counts
the endpoint's journal from 0 without gaps, so that a statement left out shows. The journal key (Ed25519) signs the
bytes behind a domain prefix, so that the signature can be taken for nothing else. The controller logs the statement's
very bytes with the signature: it can check a statement, and cannot make one.
"""

import base64
import binascii
from typing import Annotated, Final, Literal, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import Field, StringConstraints, ValidationError

from latchstring.protocol.canonical_json import canonical_json
from latchstring.protocol.endpoint_events import EndpointEvent
from latchstring.protocol.event_fields import Count
from latchstring.protocol.grants import Frozen
from latchstring.protocol.ids import EndpointId
from latchstring.protocol.times import Timestamp

DOMAIN: Final = b"latchstring statement v1\n"
MAX_STATEMENT_BYTES: Final = 16384


class StatementError(ValueError):
    """A statement that is malformed, not canonical, or not signed by its endpoint's journal key."""


class MessageSigner(Protocol):
    """Signs bytes with the journal's key."""

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature over ``message``."""


class Statement(Frozen):
    """One report of an endpoint."""

    version: Literal[1] = 1
    endpoint_id: EndpointId
    sequence: Count
    time: Timestamp
    event: EndpointEvent

    def canonical_bytes(self) -> bytes:
        """Return the bytes that are signed and logged."""
        return canonical_json(self.model_dump(mode="json"))


class SignedStatement(Frozen):
    """A statement as it travels: its exact bytes and the signature over them, both base64."""

    statement: Annotated[str, StringConstraints(max_length=MAX_STATEMENT_BYTES * 4 // 3 + 4)]
    signature: Annotated[str, StringConstraints(min_length=88, max_length=88)]


class VerifiedStatement(Frozen):
    """A statement whose signature was checked, beside the form in which it travelled."""

    statement: Statement
    signed: SignedStatement = Field(repr=False)


def sign_statement(statement: Statement, signer: MessageSigner) -> SignedStatement:
    """Sign ``statement`` with the endpoint's journal key."""
    body = statement.canonical_bytes()
    signature = signer.sign(DOMAIN + body)
    return SignedStatement(statement=base64.b64encode(body).decode(), signature=base64.b64encode(signature).decode())


def verify_statement(signed: SignedStatement, *, endpoint_id: str, journal_key: Ed25519PublicKey) -> VerifiedStatement:
    """Check a statement and return it.

    1. The signature is the journal key's, over exactly these bytes.
    2. The bytes are a statement, and are in canonical form.
    3. It speaks of the endpoint that the key belongs to.

    Raises:
        StatementError: a step failed.
    """
    try:
        body = base64.b64decode(signed.statement, validate=True)
        signature = base64.b64decode(signed.signature, validate=True)
    except binascii.Error as error:
        raise StatementError("the statement is not base64") from error
    try:
        journal_key.verify(signature, DOMAIN + body)
    except InvalidSignature as error:
        raise StatementError("the statement is not signed by this endpoint's journal key") from error
    try:
        statement = Statement.model_validate_json(body)
    except ValidationError as error:
        raise StatementError("the statement is signed, but is none that this version knows") from error
    if statement.canonical_bytes() != body:
        raise StatementError("the statement is not canonical JSON")
    if statement.endpoint_id != endpoint_id:
        raise StatementError("the statement speaks of another endpoint")
    return VerifiedStatement(statement=statement, signed=signed)
