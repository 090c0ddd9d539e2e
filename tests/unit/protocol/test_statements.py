"""Signed statements and the log entries that carry them: forged, altered and misplaced ones are refused."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from latchstring.protocol import entries, events, statements
from latchstring.protocol.canonical_json import canonical_json

TIME = "2026-11-24T09:30:00.125Z"
ENDPOINT = "ept-cccccccccccccccc"
SESSION = "ses-aaaaaaaaaaaaaaaa"
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)


def statement(**changes: Any) -> statements.Statement:
    """Make a statement."""
    fields: dict[str, Any] = {
        "endpoint_id": ENDPOINT,
        "sequence": 4,
        "time": TIME,
        "event": events.SessionAsked(session_id=SESSION),
    }
    return statements.Statement(**fields | changes)


def verify(signed: statements.SignedStatement) -> statements.VerifiedStatement:
    """Verify against the endpoint's key."""
    return statements.verify_statement(signed, endpoint_id=ENDPOINT, journal_key=KEY.public_key())


def test_round_trip() -> None:
    """A signed statement verifies and says what was signed."""
    assert verify(statements.sign_statement(statement(), KEY)).statement == statement()


def test_another_key_is_refused() -> None:
    """The controller, or another endpoint, cannot speak for this one."""
    with pytest.raises(statements.StatementError, match="not signed"):
        verify(statements.sign_statement(statement(), OTHER))


def test_altered_statement_is_refused() -> None:
    """A consent that was altered after it was signed is refused."""
    signed = statements.sign_statement(statement(), KEY)
    altered = base64.b64encode(statement(sequence=5).canonical_bytes()).decode()
    with pytest.raises(statements.StatementError, match="not signed"):
        verify(signed.model_copy(update={"statement": altered}))


def test_signature_for_another_purpose_is_refused() -> None:
    """A signature over the same bytes without the domain prefix is worth nothing."""
    body = statement().canonical_bytes()
    signed = statements.SignedStatement(
        statement=base64.b64encode(body).decode(), signature=base64.b64encode(KEY.sign(body)).decode()
    )
    with pytest.raises(statements.StatementError, match="not signed"):
        verify(signed)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (json.dumps(statement().model_dump(mode="json"), indent=1).encode(), "canonical"),
        (b'{"version":1}', "none that this version knows"),
        (b"\xff\xfe", "none that this version knows"),
        (statement(endpoint_id="ept-dddddddddddddddd").canonical_bytes(), "another endpoint"),
    ],
)
def test_signed_nonsense_is_refused(body: bytes, message: str) -> None:
    """Even with the right signature, bytes that are no statement of this endpoint are refused."""
    signature = base64.b64encode(KEY.sign(statements.DOMAIN + body)).decode()
    signed = statements.SignedStatement(statement=base64.b64encode(body).decode(), signature=signature)
    with pytest.raises(statements.StatementError, match=message):
        verify(signed)


def test_bad_base64_is_refused() -> None:
    """Text that is not base64 is refused."""
    signed = statements.sign_statement(statement(), KEY)
    with pytest.raises(statements.StatementError, match="base64"):
        verify(signed.model_copy(update={"statement": "***"}))


KEYS = {ENDPOINT: KEY.public_key()}


def endpoint_entry() -> entries.Entry:
    """Make the entry for a signed statement."""
    return entries.endpoint_entry(verify(statements.sign_statement(statement(), KEY)), time=TIME)


def test_entry_round_trip() -> None:
    """An entry's bytes parse to the entry, and its attestation holds."""
    entry = endpoint_entry()
    parsed = entries.parse_entry(entry.canonical_bytes())
    assert parsed == entry
    entries.verify_attestation(parsed, KEYS)


def test_controller_entries_need_no_attestation() -> None:
    """What the controller says itself stands without an endpoint's signature."""
    entries.verify_attestation(entries.controller_entry(events.LogOpened(), time=TIME), KEYS)


def test_vendor_cannot_invent_a_consent() -> None:
    """An endpoint's event without its signature is refused."""
    granted = events.SessionGranted(
        session_id=SESSION,
        grant_digest="0" * 64,
        engineer_key="SHA256:" + "A" * 43,
        capabilities=("shell",),
        duration_seconds=60,
        decided_by=events.DecidedBy.CUSTOMER_CLI,
    )
    with pytest.raises(entries.EntryError, match="not signed by an endpoint"):
        entries.verify_attestation(entries.Entry(time=TIME, event=granted), KEYS)


def test_event_must_be_the_signed_one() -> None:
    """A true signature does not lend itself to another event."""
    swapped = endpoint_entry().model_copy(update={"event": events.SessionAsked(session_id="ses-zzzzzzzzzzzzzzzz")})
    with pytest.raises(entries.EntryError, match="not the one that the endpoint signed"):
        entries.verify_attestation(swapped, KEYS)


def test_unknown_endpoint_is_refused() -> None:
    """A signature by a key that is not on the customer's list is refused."""
    with pytest.raises(entries.EntryError, match="not known"):
        entries.verify_attestation(endpoint_entry(), {})


def test_attestation_on_a_controllers_event_is_refused() -> None:
    """An endpoint's signature cannot decorate what the controller says."""
    dressed = endpoint_entry().model_copy(update={"event": events.LogOpened()})
    with pytest.raises(entries.EntryError, match="no event that an endpoint reports"):
        entries.verify_attestation(dressed, KEYS)


def test_entries_have_one_form() -> None:
    """Bytes that mean an entry but are not its canonical form are refused."""
    loose = json.dumps(entries.controller_entry(events.LogOpened(), time=TIME).model_dump(mode="json"), indent=1)
    with pytest.raises(entries.EntryError, match="canonical"):
        entries.parse_entry(loose.encode())
    with pytest.raises(entries.EntryError, match="not an entry"):
        entries.parse_entry(canonical_json({"version": 1}))
