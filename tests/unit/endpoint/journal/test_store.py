"""The journal's file: all or nothing, durable, and believed only if it is what its checkpoint says."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from endpoint_parts import ENDPOINT_ID, ORIGIN, item, session_id
from latchstring.certs.identity import create_log_key
from latchstring.certs.note_signer import Ed25519NoteSigner
from latchstring.certs.signer import Signer
from latchstring.endpoint.errors import JournalDamagedError, JournalUnavailableError
from latchstring.endpoint.journal.reading import read_journal
from latchstring.endpoint.journal.standing import Standing
from latchstring.endpoint.journal.store import JournalStore
from latchstring.endpoint.journal.verify import verify_journal
from latchstring.protocol.events import AgentStopped, EndpointEvent, SessionAsked, SessionEnded

ENDED = SessionEnded(
    session_id=session_id(), state="lost", reason="sandbox_died", processes_left=0, kill_milliseconds=0
)


class Place:
    """Where a journal is, and whose."""

    def __init__(self, path: Path) -> None:
        self.path = path / "journal.sqlite3"
        self.signer: Signer = create_log_key(path / "key")
        self.note_signer = Ed25519NoteSigner(ORIGIN, self.signer)

    def open(self, **changes: Any) -> JournalStore:
        """Open it."""
        options = {"endpoint_id": ENDPOINT_ID, "signer": self.signer, "note_signer": self.note_signer}
        return JournalStore(self.path, **{**options, **changes})

    def verify(self) -> int:
        """Verify it, and return its size."""
        with read_journal(self.path) as reader:
            return verify_journal(
                reader,
                origin=ORIGIN,
                endpoint_id=ENDPOINT_ID,
                journal_key=self.signer.public_key,  # type: ignore[arg-type]  # an Ed25519 key, as it was made
                note_key=self.note_signer.verifier_key,
            ).size


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place for a journal."""
    return Place(tmp_path)


@pytest.fixture
def store(place: Place) -> Iterator[JournalStore]:
    """A new journal."""
    store = place.open()
    yield store
    store.close()


def test_appends_count_from_zero_and_survive(place: Place, store: JournalStore) -> None:
    """Sequences have no gaps, and are there for the next who opens the file."""
    assert store.append([item(AgentStopped())]) == 0
    assert store.append([item(AgentStopped())] * 300) == 1
    assert place.open().head.size == place.verify() == 301


def test_only_its_owner_can_read_it(place: Place, store: JournalStore) -> None:
    """The journal holds command lines, so its file is private."""
    store.append([item(AgentStopped())])
    assert {path.stat().st_mode & 0o077 for path in place.path.parent.glob("journal.sqlite3*")} == {0}


def test_standings_follow(store: JournalStore) -> None:
    """Where a session stands is kept beside the statements."""
    asked: EndpointEvent = SessionAsked(session_id=session_id())
    assert store.standing(session_id()) is None
    store.append([item(asked)])
    assert store.standing(session_id()) is Standing.ASKED
    store.append([item(ENDED)])
    assert store.standing(session_id()) is Standing.ENDED
    assert store.unfinished() == []


def test_a_failed_append_leaves_nothing(place: Place, store: JournalStore) -> None:
    """If any statement of a batch cannot be written none is, and the next append follows without a gap."""
    store.append([item(AgentStopped())])
    store._connection.execute(
        "CREATE TRIGGER broken BEFORE INSERT ON statements WHEN NEW.sequence = 2 "
        "BEGIN SELECT RAISE(FAIL, 'disk I/O error'); END"
    )
    with pytest.raises(JournalUnavailableError, match="disk I/O error"):
        store.append([item(AgentStopped())] * 2)
    assert store.head.size == 1
    store._connection.execute("DROP TRIGGER broken")
    assert store.append([item(AgentStopped())]) == 1
    assert place.verify() == 2


class LostWord:
    """A connection whose commits happen, and are reported as failed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, *parameters: Any) -> Any:
        """Execute, and lie about a commit."""
        result = self._connection.execute(statement, *parameters)
        if statement == "COMMIT":
            raise sqlite3.OperationalError("disk I/O error")
        return result

    def close(self) -> None:
        """Close."""
        self._connection.close()


def test_a_commit_whose_word_was_lost_has_happened(place: Place, store: JournalStore) -> None:
    """What reached the disk is not appended a second time."""
    store._connection = LostWord(store._connection)  # type: ignore[assignment]  # what sqlite does on a bad disk
    assert store.append([item(AgentStopped())]) == 0
    assert store.append([item(AgentStopped())]) == 1
    assert place.verify() == 2


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM statements WHERE sequence = 2",
        "DELETE FROM statements WHERE sequence = 0",
        "UPDATE head SET size = 2",
        "UPDATE head SET frontier = zeroblob(64)",
        "UPDATE head SET checkpoint = x'00'",
        "UPDATE head SET origin = 'another'",
        "UPDATE head SET format = 2",
        "DELETE FROM head",
    ],
)
def test_a_damaged_file_is_refused_at_the_start(place: Place, store: JournalStore, damage: str) -> None:
    """A journal that was cut or rewritten is not continued."""
    store.append([item(AgentStopped())] * 3)
    store._connection.execute(damage)
    with pytest.raises(JournalDamagedError):
        place.open()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE statements SET body = replace(body, 'agent', 'Agent') WHERE sequence = 1",
        "UPDATE statements SET body = (SELECT body FROM statements WHERE sequence = 0) WHERE sequence = 1",
        "UPDATE statements SET signature = zeroblob(64) WHERE sequence = 1",
        "UPDATE tiles SET hashes = zeroblob(96)",
        "DELETE FROM tiles",
        "INSERT INTO openings VALUES (1, zeroblob(32), 'made up')",
        "UPDATE head SET size = 2",
        "DELETE FROM statements WHERE sequence = 1",
    ],
)
def test_verify_finds_every_change(place: Place, store: JournalStore, damage: str) -> None:
    """Whatever is changed in the file, the verification says so."""
    store.append([item(AgentStopped())] * 3)
    place.verify()
    store._connection.execute(damage)
    with pytest.raises(JournalDamagedError):
        place.verify()


def test_another_endpoints_journal_is_refused(place: Place, store: JournalStore, tmp_path: Path) -> None:
    """A journal that another key signed is not continued."""
    store.append([item(AgentStopped())])
    other = create_log_key(tmp_path / "other")
    with pytest.raises(JournalDamagedError):
        place.open(signer=other, note_signer=Ed25519NoteSigner(ORIGIN, other))


def test_no_journal_yet(tmp_path: Path) -> None:
    """Reading a journal that does not exist says when it begins, and makes none."""
    with pytest.raises(JournalUnavailableError, match="latch-endpoint run"), read_journal(tmp_path / "none"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_database(tmp_path: Path) -> None:
    """A file that is no database is an error with one line."""
    place = Place(tmp_path)
    place.path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(JournalUnavailableError, match=r"journal\.sqlite3"):
        place.open()
