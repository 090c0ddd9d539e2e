"""Attacks on a log, each by a controller that signs whatever it likes; and on the verifier's memory."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from latchstring.client.audit.faults import MAX_LISTED, LogFaultError
from latchstring.client.audit.memory import LogMemory
from latchstring.client.audit.verification import LogVerifier, VerifiedLog
from latchstring.client.errors import HomeError
from latchstring.client.home import Home
from latchstring.protocol import events
from latchstring.protocol.api import EntryPage, LogView
from latchstring.protocol.entries import Entry
from latchstring.protocol.note_keys import VerifierKey
from latchstring.protocol.statements import SignedStatement
from note_signers import TestSigner
from unit.client.audit.log_builder import (
    CONTROLLER,
    ORIGIN,
    FakeLog,
    ended,
    enrolled,
    granted,
    journal_key,
    new_log,
    opened,
    requested,
    whole_session,
)
from unit.client.samples import ENDPOINT_ID, SESSION_ID

FINGERPRINT = "SHA256:" + "R" * 43
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)


@pytest.fixture
def memory(tmp_path: Path) -> LogMemory:
    """An empty memory."""
    return LogMemory(Home(tmp_path / "latch"), FINGERPRINT)


def verify(log: FakeLog, memory: LogMemory, view: LogView | None = None) -> VerifiedLog:
    """Verify a log."""
    verifier = LogVerifier(log, memory, CONTROLLER, lambda: NOW)
    return verifier.verify(view or log.view(), progress=lambda _done, _of: None)


def test_whole_log(memory: LogMemory) -> None:
    """A log that holds is verified at first sight, and later as the continuation of what was seen."""
    log = new_log()
    first = verify(log, memory)
    assert (first.checkpoint.size, first.previous_size) == (len(log.bodies), None)
    log.add(events.AgentStopped(), events.AgentStarted(version="0.1.0", access="off"))
    second = verify(log, memory)
    assert (second.checkpoint.size, second.previous_size) == (len(log.bodies), first.checkpoint.size)
    assert verify(log, memory).previous_size == second.checkpoint.size


def test_log_that_grows_meanwhile(memory: LogMemory) -> None:
    """Entries after the checkpoint are not looked at."""
    log = new_log()
    view = log.view()
    log.bodies.append(b"not an entry")
    assert verify(log, memory, view).checkpoint.size == view.size


def namesake() -> TestSigner:
    """Return a signer with another key in the log's name."""
    signer = TestSigner("another")
    signer.name, signer.key = ORIGIN, VerifierKey(ORIGIN, signer.key.key_type, signer.key.public_key)
    signer.key_id = signer.key.key_id
    return signer


def replace_event(log: FakeLog, index: int, **changes: Any) -> None:
    """Change the event of an entry, and leave its signature."""
    entry = Entry.model_validate_json(log.bodies[index])
    event = entry.event.model_copy(update=changes)
    log.bodies[index] = entry.model_copy(update={"event": event}).canonical_bytes()


def strip_signature(log: FakeLog, index: int) -> None:
    """Take the endpoint's words out of an entry."""
    entry = Entry.model_validate_json(log.bodies[index])
    log.bodies[index] = entry.model_copy(update={"attestation": None}).canonical_bytes()


def forge_signature(log: FakeLog, index: int) -> None:
    """Let the controller sign for the endpoint."""
    entry = Entry.model_validate_json(log.bodies[index])
    assert entry.attestation is not None
    signed = SignedStatement(statement=entry.attestation.signed.statement, signature="A" * 86 + "==")
    attestation = entry.attestation.model_copy(update={"signed": signed})
    log.bodies[index] = entry.model_copy(update={"attestation": attestation}).canonical_bytes()


def invent_statement(log: FakeLog) -> None:
    """Make up the next statement, with a key of the controller's own."""
    log.bodies.append(log.entry(events.AgentStopped(), key=journal_key("the controller's")).canonical_bytes())


def swap(log: FakeLog, one: int, other: int) -> None:
    """Exchange two entries."""
    log.bodies[one], log.bodies[other] = log.bodies[other], log.bodies[one]


# Entries of the log under attack: 0 log.opened, 1 invited, 2 enrolled, 3 connected, 4 requested, 5 asked (statement 0),
# 6 granted (1), 7 dialled, 8 connected (2), 9 channel.opened (3), 10 connected (4), 11 channel.closed (5), 12 and 13
# disconnected (6, 7), 14 relay.closed, 15 close_requested, 16 ended (8), 17 log.read, 18 disconnected.
FAULTS: dict[str, tuple[Callable[[FakeLog], Any], int, str]] = {
    "first entry removed": (lambda log: log.bodies.pop(0), 0, "begins with log.opened"),
    "opened twice": (lambda log: log.bodies.insert(7, log.bodies[0]), 7, "begins with log.opened"),
    "enrolment removed": (lambda log: log.bodies.pop(2), 4, "has not enrolled"),
    "consent changed": (lambda log: replace_event(log, 6, duration_seconds=3600), 6, "not the one that the endpoint"),
    "consent unsigned": (lambda log: strip_signature(log, 6), 6, "is not signed by an endpoint"),
    "signature forged": (lambda log: forge_signature(log, 6), 6, "not signed by this endpoint's journal key"),
    "statement invented": (invent_statement, 19, "not signed by this endpoint's journal key"),
    "not canonical": (lambda log: log.bodies.__setitem__(8, log.bodies[8] + b" "), 8, "not canonical"),
    "not an entry": (lambda log: log.bodies.__setitem__(8, b"{}"), 8, "not an entry"),
}

# Authentic entries that do not fit: where, who signed the entry, and what is said. The first of each is named here.
DISCREPANCIES: dict[str, tuple[Callable[[FakeLog], Any], int, str | None, str]] = {
    "consent removed": (lambda log: log.bodies.pop(6), 6, None, "which is awaiting_consent"),
    "channel removed": (lambda log: log.bodies.pop(9), 9, ENDPOINT_ID, "statement 4 .* statement 3"),
    "request removed": (lambda log: log.bodies.pop(4), 4, ENDPOINT_ID, "nobody requested"),
    "entry repeated": (lambda log: log.bodies.insert(9, log.bodies[8]), 9, ENDPOINT_ID, "statement 2 .* statement 3"),
    "entries swapped": (lambda log: swap(log, 9, 11), 9, ENDPOINT_ID, "statement 5 .* statement 3"),
    "session invented": (
        lambda log: log.add(opened(session_id="ses-" + "z" * 16)),
        19,
        ENDPOINT_ID,
        "which nobody requested",
    ),
}


@pytest.mark.parametrize("name", list(DISCREPANCIES))
def test_discrepancy(memory: LogMemory, name: str) -> None:
    """What does not fit is told with its place and its author, and what was seen is remembered all the same."""
    attack, index, endpoint_id, words = DISCREPANCIES[name]
    log = new_log()
    attack(log)
    found = verify(log, memory).discrepancies
    assert found.count >= 1
    assert (found.listed[0].index, found.listed[0].endpoint_id) == (index, endpoint_id)
    assert re.search(words, str(found.listed[0]))
    assert (endpoint_id or "the controller") in str(found.listed[0])
    assert memory.log_ids() == {log.view().id}


def test_an_oddity_hides_no_rewriting(memory: LogMemory) -> None:
    """After an endpoint has reported something odd, a history that the controller rewrites is still noticed."""
    log = new_log().add(opened(session_id="ses-" + "z" * 16), events.EndpointDisconnected(endpoint_id=ENDPOINT_ID))
    assert verify(log, memory).discrepancies.count == 1
    assert verify(log, memory).previous_size == len(log.bodies)
    rewritten = log.copy()
    replace_event(rewritten, 3, source="192.0.2.99")
    with pytest.raises(LogFaultError, match="the history was rewritten"):
        verify(rewritten, memory)


def test_many_discrepancies_are_counted(memory: LogMemory) -> None:
    """However many do not fit, the first of them are listed and all are counted."""
    log = new_log().add(*[opened(session_id="ses-" + "z" * 16)] * (MAX_LISTED + 5))
    found = verify(log, memory).discrepancies
    assert (len(found.listed), found.count) == (MAX_LISTED, MAX_LISTED + 5)


def test_consent_of_another_endpoint(memory: LogMemory) -> None:
    """A consent that another endpoint of the same customer signed counts for nothing, and is told as its own."""
    accomplice = "ept-" + "b" * 16
    log = FakeLog(keys={ENDPOINT_ID: journal_key(), accomplice: journal_key("the vendor's own")})
    log.add(events.LogOpened(), enrolled(), enrolled(log.keys[accomplice], accomplice), requested())
    for sequence, event in enumerate((events.SessionAsked(session_id=SESSION_ID), granted(), ended())):
        log.bodies.append(log.entry(event, endpoint_id=accomplice, sequence=sequence).canonical_bytes())
    found = verify(log, memory).discrepancies
    assert [(each.index, each.endpoint_id) for each in found.listed] == [
        (4, accomplice),
        (5, accomplice),
        (6, accomplice),
    ]
    assert all(f"the session is one of {ENDPOINT_ID}" in each.message for each in found.listed)


@pytest.mark.parametrize("name", list(FAULTS))
def test_fault(memory: LogMemory, name: str) -> None:
    """A log that was tampered with is refused though its checkpoint is signed, at the first entry at fault."""
    attack, index, words = FAULTS[name]
    log = new_log()
    attack(log)
    with pytest.raises(LogFaultError, match=words) as caught:
        verify(log, memory)
    assert caught.value.index == index
    assert memory.log_ids() == frozenset()


def test_late_report_is_no_fault(memory: LogMemory) -> None:
    """What an endpoint reports about a session that has ended is logged, and is no fault."""
    assert verify(new_log().add(opened()), memory).discrepancies.count == 0


@pytest.mark.parametrize(
    "attack", [lambda log: log.bodies.__setitem__(2, log.bodies[2] + b" "), lambda log: swap(log, 5, 6)]
)
def test_entries_that_are_not_what_was_signed(memory: LogMemory, attack: Callable[[FakeLog], Any]) -> None:
    """Entries that were changed after the checkpoint was signed are refused."""
    log = new_log()
    view = log.view()
    attack(log)
    with pytest.raises(LogFaultError):
        verify(log, memory, view)


def test_root_that_is_not_that_of_the_entries(memory: LogMemory) -> None:
    """Well-formed entries that do not make the signed root are refused."""
    log, other = new_log(), new_log()
    other.add(events.EndpointRevoked(endpoint_id=ENDPOINT_ID))
    log.add(events.EndpointDisconnected(endpoint_id=ENDPOINT_ID))
    with pytest.raises(LogFaultError, match="do not have the root") as caught:
        verify(log, memory, other.view())
    assert caught.value.index is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"checkpoint": "garbage"}, "checkpoint does not hold"),
        ({"verifier_key": "garbage"}, "verifier key cannot be used"),
        ({"verifier_key": TestSigner(f"{CONTROLLER}/audit/operator").key.vkey()}, "is made for"),
    ],
)
def test_checkpoint_that_does_not_hold(memory: LogMemory, changes: dict[str, Any], words: str) -> None:
    """A checkpoint or a key that is not the log's is refused before anything is downloaded."""
    with pytest.raises(LogFaultError, match=words):
        verify(new_log(), memory, new_log().view(**changes))


def test_checkpoint_of_another_key(memory: LogMemory) -> None:
    """A checkpoint that another key signed in the log's name is refused."""
    log = new_log()
    log.signer = namesake()
    with pytest.raises(LogFaultError, match="checkpoint does not hold: the note is not signed by a known key"):
        verify(log, memory, log.view(verifier_key=new_log().signer.key.vkey()))


def test_empty_log(memory: LogMemory) -> None:
    """A log without its first entry is not a log."""
    with pytest.raises(LogFaultError, match="is empty"):
        verify(FakeLog(), memory)


@pytest.mark.parametrize("index", [0, 7, 15, 16, 17, 18])
def test_rewritten_history(memory: LogMemory, index: int) -> None:
    """A history that was rewritten, well formed and signed, is noticed, and the place is narrowed down."""
    log = new_log()
    verify(log, memory)
    rewritten = log.copy()
    replaced = Entry.model_validate_json(rewritten.bodies[index]).model_copy(
        update={"time": "2026-11-24T09:30:00.001Z"}
    )
    rewritten.bodies[index] = replaced.canonical_bytes()
    rewritten.add(events.AgentStopped())
    with pytest.raises(LogFaultError, match="the history was rewritten") as caught:
        verify(rewritten, memory)
    # 19 entries are perfect trees of 16, 2 and 1.
    assert caught.value.index == max(start for start in (0, 16, 18) if start <= index)
    assert verify(log, memory).previous_size == len(log.bodies)


def test_history_cut_off(memory: LogMemory) -> None:
    """A log that became shorter is refused."""
    log = new_log()
    verify(log, memory)
    log.bodies.pop()
    with pytest.raises(LogFaultError, match="was cut off") as caught:
        verify(log, memory)
    assert caught.value.index == len(log.bodies)


def test_verifier_key_is_pinned(memory: LogMemory) -> None:
    """A log that comes with another key than at first sight is refused."""
    log = new_log()
    verify(log, memory)
    log.signer = namesake()
    verify(log, LogMemory(Home(memory._home.path / "other"), FINGERPRINT))
    with pytest.raises(LogFaultError, match="not the one that was seen first"):
        verify(log, memory)


def test_journal_key_is_pinned(memory: LogMemory) -> None:
    """An endpoint's journal key cannot be exchanged for one of the controller's, not even for a whole new history."""
    verify(new_log(), memory)
    thief = journal_key("the controller's")
    log = FakeLog(keys={ENDPOINT_ID: thief}).add(events.LogOpened(), enrolled(thief), *whole_session())
    log.add(*[events.EndpointDisconnected(endpoint_id=ENDPOINT_ID)] * 10)
    verify(log, LogMemory(Home(memory._home.path / "other"), FINGERPRINT))
    with pytest.raises(LogFaultError, match="the journal key of ept-aaaaaaaaaaaaaaaa is not the one"):
        verify(log, memory)


def test_journal_key_of_the_enrolment(memory: LogMemory) -> None:
    """The key that is listed is the one that the endpoint enrolled with."""
    log = FakeLog().add(events.LogOpened(), enrolled(journal_key("another")), *whole_session())
    with pytest.raises(LogFaultError, match="enrolled with another journal key") as caught:
        verify(log, memory)
    assert caught.value.index == 1


def test_journal_key_may_go(memory: LogMemory) -> None:
    """The key of an endpoint that the controller lists no more is still known."""
    log = new_log()
    verify(log, memory)
    log.keys.clear()
    verify(log, memory)


@pytest.mark.parametrize("kind", ["nothing", "gap", "not base64", "too long"])
def test_pages_that_lie(memory: LogMemory, kind: str) -> None:
    """Pages without, with other, or with garbled entries are refused at the entry that was asked for."""

    class Liar(FakeLog):
        """Serves bad pages."""

        def entries(self, log_id: str, *, start: int, limit: int) -> EntryPage:
            """Serve one."""
            page = super().entries(log_id, start=start, limit=limit)
            first = page.entries[0]
            bent = {
                "nothing": (),
                "gap": page.entries[1:],
                "not base64": (first.model_copy(update={"entry": "!"}),),
                "too long": (first.model_copy(update={"entry": "A" * 100_000}),),
            }[kind]
            return page.model_copy(update={"entries": bent})

    log = Liar(new_log().bodies)
    with pytest.raises(LogFaultError) as caught:
        verify(log, memory)
    assert caught.value.index == 0


def test_damaged_memory_is_not_first_sight(memory: LogMemory) -> None:
    """A memory that cannot be read is an error: taking the log for unseen would forget what was seen."""
    log = new_log()
    verify(log, memory)
    (path,) = memory._home.checkpoints.iterdir()
    document = json.loads(path.read_text())
    for content in ("", json.dumps({**document, "size": 8})):
        path.write_text(content)
        with pytest.raises(HomeError, match="is damaged"):
            verify(log, memory)


def test_controllers_are_told_apart(memory: LogMemory) -> None:
    """What is remembered belongs to one controller."""
    verify(new_log(), memory)
    other = LogMemory(memory._home, "SHA256:" + "S" * 43)
    assert other.log_ids() == frozenset()
    assert memory.log_ids() == {new_log().view().id}
