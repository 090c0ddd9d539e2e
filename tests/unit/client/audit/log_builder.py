"""Builds a customer's log in memory as a controller does, so that tests can bend it."""

import base64
import copy
import hashlib
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from latchstring.certs.ssh_public_key import key_fingerprint
from latchstring.protocol import events
from latchstring.protocol.api import EntryPage, EntryView, JournalKey, JournalKeyList, LogView
from latchstring.protocol.checkpoint import Checkpoint, sign_checkpoint
from latchstring.protocol.entries import Entry, controller_entry, endpoint_entry
from latchstring.protocol.frontier import StreamingRoot
from latchstring.protocol.merkle import leaf_hash
from latchstring.protocol.statements import Statement, VerifiedStatement, sign_statement
from note_signers import TestSigner
from unit.client.samples import ACCOUNT_ID, CUSTOMER_ID, ENDPOINT_ID, SESSION_ID, TIME

CONTROLLER = "support.example.test"
ORIGIN = f"{CONTROLLER}/audit/{CUSTOMER_ID}"
SOURCE = "192.0.2.7"
KEY_FINGERPRINT = "SHA256:" + "A" * 43


def journal_key(name: str = "journal") -> Ed25519PrivateKey:
    """Return a journal key that is derived from its name."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def requested(**changes: Any) -> events.SessionRequested:
    """Return the request of a session."""
    fields: dict[str, Any] = {
        "session_id": SESSION_ID,
        "endpoint_id": ENDPOINT_ID,
        "account_id": ACCOUNT_ID,
        "source": SOURCE,
        "purpose": "maintenance",
        "ticket": None,
        "note": None,
        "capabilities": ("exec", "shell"),
        "duration_seconds": 3600,
        "engineer_key": KEY_FINGERPRINT,
    }
    return events.SessionRequested.model_validate({**fields, **changes})


def granted(**changes: Any) -> events.SessionGranted:
    """Return its grant."""
    fields: dict[str, Any] = {
        "session_id": SESSION_ID,
        "grant_digest": "00" * 32,
        "engineer_key": KEY_FINGERPRINT,
        "capabilities": ("exec",),
        "duration_seconds": 1800,
        "decided_by": "customer_cli",
    }
    return events.SessionGranted.model_validate({**fields, **changes})


def opened(**changes: Any) -> events.ChannelOpened:
    """Return the opening of a channel."""
    fields: dict[str, Any] = {"session_id": SESSION_ID, "channel": 0, "kind": "exec", "capability": "exec"}
    return events.ChannelOpened.model_validate({**fields, **changes})


def ended(**changes: Any) -> events.SessionEnded:
    """Return its end."""
    fields: dict[str, Any] = {
        "session_id": SESSION_ID,
        "state": "closed",
        "reason": "closed_by_engineer",
        "processes_left": 0,
        "kill_milliseconds": 12,
    }
    return events.SessionEnded.model_validate({**fields, **changes})


def dialled() -> events.SessionDialled:
    """Return a dial."""
    return events.SessionDialled(session_id=SESSION_ID, account_id=ACCOUNT_ID, source=SOURCE)


def whole_session() -> list[Any]:
    """Return every event of a session that went well."""
    return [
        requested(),
        events.SessionAsked(session_id=SESSION_ID),
        granted(),
        dialled(),
        events.SessionConnected(session_id=SESSION_ID, connections=1),
        opened(),
        events.SessionConnected(session_id=SESSION_ID, connections=2),
        events.ChannelClosed(
            session_id=SESSION_ID, channel=0, outcome="exited", exit_status=0, bytes_in=1, bytes_out=2
        ),
        events.SessionDisconnected(session_id=SESSION_ID, connections=1),
        events.SessionDisconnected(session_id=SESSION_ID, connections=0),
        events.RelayClosed(session_id=SESSION_ID, bytes_from_engineer=1, bytes_from_endpoint=2),
        events.SessionCloseRequested(
            session_id=SESSION_ID, account_id=ACCOUNT_ID, source=SOURCE, reason="closed_by_engineer"
        ),
        ended(),
        events.LogRead(account_id=ACCOUNT_ID, source=SOURCE, operation="show", session_id=SESSION_ID),
    ]


@dataclass
class FakeLog:
    """One log, and the controller that serves it. ``bodies`` may be changed at will; :meth:`view` signs them anew."""

    bodies: list[bytes] = field(default_factory=list)
    keys: dict[str, Ed25519PrivateKey] = field(default_factory=lambda: {ENDPOINT_ID: journal_key()})
    signer: TestSigner = field(default_factory=lambda: TestSigner(ORIGIN))
    sequence: int = 0
    page_size: int = 3

    def add(self, *added: Any) -> "FakeLog":
        """Append events; those of an endpoint are signed by it."""
        for event in added:
            self.bodies.append(self.entry(event).canonical_bytes())
        return self

    def entry(
        self,
        event: Any,
        *,
        key: Ed25519PrivateKey | None = None,
        endpoint_id: str = ENDPOINT_ID,
        sequence: int = -1,
        logged_at: str = TIME,
    ) -> Entry:
        """Return the entry for an event. An endpoint signs its own: as its next statement, or as ``sequence``."""
        if event.type not in events.ENDPOINT_EVENT_TYPES:
            return controller_entry(event, time=TIME)
        if sequence < 0:
            sequence, self.sequence = self.sequence, self.sequence + 1
        statement = Statement(endpoint_id=endpoint_id, sequence=sequence, time=TIME, event=event)
        signed = sign_statement(statement, key or self.keys[endpoint_id])
        return endpoint_entry(VerifiedStatement(statement=statement, signed=signed), time=logged_at)

    def view(self, **changes: Any) -> LogView:
        """Return the log as the controller lists it, with a checkpoint over all bodies."""
        tree = StreamingRoot()
        tree.add_all(leaf_hash(body) for body in self.bodies)
        note = sign_checkpoint(Checkpoint(ORIGIN, tree.size, tree.root()), self.signer)
        fields = {
            "id": CUSTOMER_ID,
            "customer": "Acme Dental",
            "size": tree.size,
            "checkpoint": note.encode().decode(),
            "verifier_key": self.signer.key.vkey(),
        }
        return LogView.model_validate({**fields, **changes})

    def entries(self, log_id: str, *, start: int, limit: int) -> EntryPage:
        """Serve a page."""
        assert log_id == CUSTOMER_ID
        end = min(start + limit, start + self.page_size, len(self.bodies))
        views = tuple(
            EntryView(index=index, entry=base64.b64encode(self.bodies[index]).decode()) for index in range(start, end)
        )
        return EntryPage(log=log_id, size=len(self.bodies), entries=views, next=end if end < len(self.bodies) else None)

    def journal_keys(self, log_id: str) -> JournalKeyList:
        """Serve the journal keys."""
        assert log_id == CUSTOMER_ID
        listed = tuple(
            JournalKey(endpoint_id=endpoint_id, endpoint="acme-pbx1", key=key.public_key().public_bytes_raw().hex())
            for endpoint_id, key in self.keys.items()
        )
        return JournalKeyList(keys=listed)

    def copy(self) -> "FakeLog":
        """Return a log of its own with the same entries."""
        return FakeLog(copy.copy(self.bodies), dict(self.keys), self.signer, self.sequence)


def enrolled(key: Ed25519PrivateKey | None = None, endpoint_id: str = ENDPOINT_ID) -> events.EndpointEnrolled:
    """Return the enrolment of the endpoint, with its journal key or another."""
    fingerprint = key_fingerprint((key or journal_key()).public_key())
    return events.EndpointEnrolled(
        endpoint_id=endpoint_id, source=SOURCE, ssh_host_key=KEY_FINGERPRINT, journal_key=fingerprint
    )


def new_log() -> FakeLog:
    """Return a log with one whole session: 19 entries, of which 0 to 3 come before it and 18 after it."""
    return FakeLog().add(
        events.LogOpened(),
        events.EndpointInvited(endpoint_id=ENDPOINT_ID, endpoint_name="acme-pbx1"),
        enrolled(),
        events.EndpointConnected(endpoint_id=ENDPOINT_ID, source=SOURCE, version="0.1.0", clock_skew_seconds=0),
        *whole_session(),
        events.EndpointDisconnected(endpoint_id=ENDPOINT_ID),
    )
