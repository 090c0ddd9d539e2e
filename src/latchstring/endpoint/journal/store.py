"""The journal's file: one SQLite database (WAL, ``synchronous=FULL``), written by one thread.

The order of an append, all in one transaction::

    1. sign each statement with the next sequence, and store it
    2. add its hash to the tree: tiles and frontier
    3. sign the checkpoint of the new size
    4. commit: from here on it is durable, and only now does the caller hear of it

If any of it fails, the file is opened anew and its head decides: if it is the one that was to be written, the append
has happened (the commit reached the disk, and only the word of it was lost), else nothing of it has.

A leaf of the tree is the canonical JSON of the signed statement, as it travels.
"""

import base64
import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from latchstring.certs.keyfiles import PRIVATE_MODE
from latchstring.certs.note_signer import Ed25519NoteSigner
from latchstring.certs.signer import Signer
from latchstring.endpoint.errors import JournalDamagedError, JournalUnavailableError
from latchstring.endpoint.journal import schema
from latchstring.endpoint.journal.commitments import Opening
from latchstring.endpoint.journal.standing import Standing, standing_after
from latchstring.protocol.canonical_json import canonical_json
from latchstring.protocol.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from latchstring.protocol.endpoint_events import EndpointEvent
from latchstring.protocol.frontier import EMPTY_FRONTIER, Frontier
from latchstring.protocol.grants import Offer
from latchstring.protocol.merkle import leaf_hash
from latchstring.protocol.note_keys import NoteError
from latchstring.protocol.statements import SignedStatement, Statement, sign_statement
from latchstring.protocol.tiles import TileSuffix, extend

MAX_READ: Final = 256


@dataclass(frozen=True, slots=True)
class Item:
    """One event to append, its time, and what people will want to read with it."""

    event: EndpointEvent
    time: str
    offer: Offer | None = None
    opening: Opening | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """Where the journal ends."""

    frontier: Frontier
    checkpoint: bytes
    acknowledged: int

    @property
    def size(self) -> int:
        """How many statements there are."""
        return self.frontier.size


def leaf_of(signed: SignedStatement) -> bytes:
    """Return the bytes that the journal's tree commits to."""
    return canonical_json(signed.model_dump(mode="json"))


class JournalStore:
    """The journal's file, for its one writer. Not to be used by two threads at once.

    Raises:
        JournalUnavailableError: the file cannot be opened or made.
        JournalDamagedError: it is another endpoint's, of a newer version, or not what its checkpoint says.
    """

    def __init__(self, path: Path, *, endpoint_id: str, signer: Signer, note_signer: Ed25519NoteSigner) -> None:
        self._path = path
        self._endpoint_id = endpoint_id
        self._signer = signer
        self._note_signer = note_signer
        path.touch(mode=PRIVATE_MODE)
        self._connection = self._open()
        self._head = self._load()

    @property
    def head(self) -> Head:
        """Where the journal ends."""
        return self._head

    def append(self, items: Sequence[Item]) -> int:
        """Append ``items``, all or none, durably, and return the sequence of the first.

        Raises:
            JournalUnavailableError: it cannot be written; nothing was appended.
        """
        first = self._head.size
        head: Head | None = None
        try:
            with self._transaction():
                head = self._write(items)
            self._head = head
        except (sqlite3.Error, OSError) as error:
            self._recover(error)
            if head is None or self._head.checkpoint != head.checkpoint:
                raise JournalUnavailableError(f"the journal cannot be written: {error}") from error
        return first

    def acknowledge(self, next_sequence: int) -> None:
        """Note up to where the controller has everything. It is only a note: the controller says so again."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("UPDATE head SET acknowledged = ?", (next_sequence,))
        self._head = Head(self._head.frontier, self._head.checkpoint, next_sequence)

    def read(self, start: int, limit: int) -> list[SignedStatement]:
        """Return the signed statements from sequence ``start`` on, at most ``limit`` and :data:`MAX_READ`.

        Raises:
            JournalUnavailableError: the file cannot be read.
        """
        query = "SELECT body, signature FROM statements WHERE sequence >= ? ORDER BY sequence LIMIT ?"
        try:
            rows = self._connection.execute(query, (start, min(limit, MAX_READ))).fetchall()
        except sqlite3.Error as error:
            raise JournalUnavailableError(f"the journal cannot be read: {error}") from error
        return [signed_of(body, signature) for body, signature in rows]

    def standing(self, session_id: str) -> Standing | None:
        """Return what the journal says of a session, None if it never heard of it.

        Raises:
            JournalUnavailableError: the file cannot be read.
        """
        query = "SELECT standing FROM sessions WHERE session_id = ?"
        try:
            row = self._connection.execute(query, (session_id,)).fetchone()
        except sqlite3.Error as error:
            raise JournalUnavailableError(f"the journal cannot be read: {error}") from error
        return None if row is None else Standing(row[0])

    def offer(self, session_id: str) -> bytes | None:
        """Return the offer that was kept for a session, as canonical JSON; None if there is none.

        Raises:
            JournalUnavailableError: the file cannot be read.
        """
        query = "SELECT offer FROM offers WHERE session_id = ?"
        try:
            row = self._connection.execute(query, (session_id,)).fetchone()
        except sqlite3.Error as error:
            raise JournalUnavailableError(f"the journal cannot be read: {error}") from error
        return None if row is None else bytes(row[0])

    def sessions_beginning(self, prefix: str, limit: int) -> list[str]:
        """Return up to ``limit`` ids of sessions, of any standing, that begin with ``prefix``.

        Raises:
            JournalUnavailableError: the file cannot be read.
        """
        query = "SELECT session_id FROM sessions WHERE session_id >= ? AND session_id < ? ORDER BY session_id LIMIT ?"
        try:
            return [row[0] for row in self._connection.execute(query, (prefix, f"{prefix}\x7f", limit))]
        except sqlite3.Error as error:
            raise JournalUnavailableError(f"the journal cannot be read: {error}") from error

    def unfinished(self) -> list[str]:
        """Return the sessions that were granted and have not ended.

        Raises:
            JournalUnavailableError: the file cannot be read.
        """
        query = "SELECT session_id FROM sessions WHERE standing = ? ORDER BY session_id"
        try:
            return [row[0] for row in self._connection.execute(query, (Standing.LIVE,))]
        except sqlite3.Error as error:
            raise JournalUnavailableError(f"the journal cannot be read: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self._path, check_same_thread=False, timeout=2.0)
            schema.configure(connection)
        except sqlite3.DatabaseError as error:
            raise JournalUnavailableError(f"the journal {self._path} cannot be opened: {error}") from error
        return connection

    def _load(self) -> Head:
        try:
            if schema.is_new(self._connection):
                self._create()
            row = self._connection.execute(
                "SELECT format, origin, size, frontier, checkpoint, acknowledged FROM head"
            ).fetchone()
            last = self._connection.execute("SELECT max(sequence), count(*) FROM statements").fetchone()
        except sqlite3.Error as error:
            raise JournalUnavailableError(f"the journal {self._path} cannot be opened: {error}") from error
        return self._check(row, last)

    def _create(self) -> None:
        with self._transaction():
            schema.create_tables(self._connection)
            checkpoint = self._sign(EMPTY_FRONTIER)
            self._connection.execute(
                "INSERT INTO head (id, format, origin, size, frontier, checkpoint) VALUES (1, ?, ?, 0, ?, ?)",
                (schema.FORMAT, self._note_signer.name, b"", checkpoint),
            )

    def _check(self, row: "tuple[int, str, int, bytes, bytes, int] | None", last: tuple[int | None, int]) -> Head:
        damaged = JournalDamagedError(f"the journal {self._path} is not what its own checkpoint says; keep it, and ask")
        if row is None:
            raise damaged
        version, origin, size, hashes, checkpoint, acknowledged = row
        if version > schema.FORMAT:
            raise JournalDamagedError(f"the journal {self._path} was made by a newer version; update this one")
        try:
            frontier = Frontier.from_bytes(size, hashes)
            key = self._note_signer.verifier_key
            verified = verify_checkpoint(checkpoint, origin=self._note_signer.name, log_key=key).checkpoint
        except (NoteError, ValueError) as error:
            raise damaged from error
        expected = (size - 1 if size else None, size)
        if origin != verified.origin or (verified.size, verified.root) != (size, frontier.root()) or last != expected:
            raise damaged
        return Head(frontier, checkpoint, acknowledged)

    def _recover(self, cause: Exception) -> None:
        """Open the file anew, so that nothing of a failed transaction is believed."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        try:
            self._connection = self._open()
            self._head = self._load()
        except JournalUnavailableError as error:
            raise JournalUnavailableError(f"the journal cannot be written: {cause}") from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def _write(self, items: Sequence[Item]) -> Head:
        leaves = [self._write_statement(self._head.size + offset, item) for offset, item in enumerate(items)]
        extension = extend(self._head.frontier, leaves)
        for suffix in extension.suffixes:
            self._write_suffix(suffix)
        checkpoint = self._sign(extension.frontier)
        self._connection.execute(
            "UPDATE head SET size = ?, frontier = ?, checkpoint = ?",
            (extension.frontier.size, extension.frontier.to_bytes(), checkpoint),
        )
        return Head(extension.frontier, checkpoint, self._head.acknowledged)

    def _write_statement(self, sequence: int, item: Item) -> bytes:
        statement = Statement(endpoint_id=self._endpoint_id, sequence=sequence, time=item.time, event=item.event)
        signed = sign_statement(statement, self._signer)
        execute = self._connection.execute
        execute("INSERT INTO statements VALUES (?, ?, ?)", (sequence, *_bytes_of(signed)))
        moved = standing_after(item.event)
        if moved is not None:
            execute("INSERT OR REPLACE INTO sessions VALUES (?, ?)", moved)
        if item.offer is not None:
            body = canonical_json(item.offer.model_dump(mode="json"))
            execute("INSERT OR IGNORE INTO offers VALUES (?, ?)", (item.offer.session_id, body))
        if item.opening is not None:
            execute("INSERT INTO openings VALUES (?, ?, ?)", (sequence, item.opening.salt, item.opening.detail))
        return leaf_hash(leaf_of(signed))

    def _write_suffix(self, suffix: TileSuffix) -> None:
        self._connection.execute(
            "INSERT INTO tiles VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET hashes = CAST(hashes || excluded.hashes AS BLOB)",
            (suffix.level, suffix.index, suffix.hashes),
        )

    def _sign(self, frontier: Frontier) -> bytes:
        checkpoint = Checkpoint(self._note_signer.name, frontier.size, frontier.root())
        return sign_checkpoint(checkpoint, self._note_signer).encode()


def signed_of(body: bytes, signature: bytes) -> SignedStatement:
    """Return a stored statement in the form in which it travels."""
    return SignedStatement(statement=base64.b64encode(body).decode(), signature=base64.b64encode(signature).decode())


def _bytes_of(signed: SignedStatement) -> tuple[bytes, bytes]:
    return base64.b64decode(signed.statement), base64.b64decode(signed.signature)
