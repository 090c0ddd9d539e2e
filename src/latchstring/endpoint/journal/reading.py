"""Reading a journal for people, beside the running agent or without it. Nothing is written."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pydantic import ValidationError

from latchstring.endpoint.errors import JournalDamagedError, JournalUnavailableError
from latchstring.endpoint.journal.commitments import Opening
from latchstring.endpoint.journal.store import signed_of
from latchstring.protocol.grants import Offer
from latchstring.protocol.statements import SignedStatement, Statement

_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One statement, and what the customer alone has beside it."""

    statement: Statement
    signed: SignedStatement
    opening: Opening | None


@dataclass(frozen=True, slots=True)
class JournalHead:
    """The journal's size, its signed checkpoint, and up to where the controller has everything."""

    size: int
    checkpoint: bytes
    acknowledged: int


class JournalReader:
    """One consistent view of a journal: what is appended meanwhile does not show."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def head(self) -> JournalHead:
        """Return where the journal ends.

        Raises:
            JournalDamagedError: it does not say.
        """
        row = self._connection.execute("SELECT size, checkpoint, acknowledged FROM head").fetchone()
        if row is None:
            raise JournalDamagedError("the journal has no checkpoint")
        return JournalHead(*row)

    def entries(self, start: int = 0) -> Iterator[JournalEntry]:
        """Return the entries from sequence ``start`` on.

        Raises:
            JournalDamagedError: one of them is none.
        """
        query = (
            "SELECT sequence, body, signature, salt, detail FROM statements LEFT JOIN openings USING (sequence) "
            "WHERE sequence >= ? ORDER BY sequence LIMIT ?"
        )
        while rows := self._connection.execute(query, (start, _CHUNK)).fetchall():
            for sequence, body, signature, salt, detail in rows:
                opening = None if salt is None else Opening(salt, detail)
                yield JournalEntry(_parse(sequence, body), signed_of(body, signature), opening)
                start = sequence + 1

    def offers(self) -> dict[str, Offer]:
        """Return what was asked for, by session: where the names stand."""
        found: dict[str, Offer] = {}
        for session_id, body in self._connection.execute("SELECT session_id, offer FROM offers"):
            with contextlib.suppress(ValidationError):  # only names are missing then
                found[session_id] = Offer.model_validate_json(body)
        return found

    def tile(self, level: int, index: int) -> bytes:
        """Return a tile's hashes, as many as are stored."""
        query = "SELECT hashes FROM tiles WHERE level = ? AND number = ?"
        row = self._connection.execute(query, (level, index)).fetchone()
        return b"" if row is None else bytes(row[0])


@contextlib.contextmanager
def read_journal(path: Path) -> Iterator[JournalReader]:
    """Open the journal at ``path`` for reading.

    Raises:
        JournalUnavailableError: there is none yet, or it cannot be read.
    """
    if not path.exists():
        raise JournalUnavailableError(f"there is no journal yet at {path}; it begins with `latch-endpoint run`")
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2.0, isolation_level=None)
        try:
            connection.execute("BEGIN")
            yield JournalReader(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise JournalUnavailableError(f"the journal {path} cannot be read: {error}") from error


def _parse(sequence: int, body: bytes) -> Statement:
    try:
        return Statement.model_validate_json(body)
    except ValidationError as error:
        raise JournalDamagedError(f"statement {sequence} of the journal is none that this version knows") from error
