"""The journal's tables. The statements are the journal; everything else is derived, or helps people to read it."""

import sqlite3
from typing import Final

FORMAT: Final = 1

_TABLES: Final = """
CREATE TABLE head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    format INTEGER NOT NULL,
    origin TEXT NOT NULL,
    size INTEGER NOT NULL,
    frontier BLOB NOT NULL,
    checkpoint BLOB NOT NULL,
    acknowledged INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE statements (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL, signature BLOB NOT NULL);
CREATE TABLE tiles (
    level INTEGER NOT NULL, number INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (level, number)
) WITHOUT ROWID;
CREATE TABLE sessions (session_id TEXT PRIMARY KEY, standing TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE offers (session_id TEXT PRIMARY KEY, offer BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE openings (sequence INTEGER PRIMARY KEY, salt BLOB NOT NULL, detail TEXT NOT NULL);
"""


def configure(connection: sqlite3.Connection) -> None:
    """Make every commit durable before it returns."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA busy_timeout = 2000")


def is_new(connection: sqlite3.Connection) -> bool:
    """Return whether the database has no tables yet."""
    count: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return count == 0


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables. To be called within a transaction."""
    for statement in _TABLES.split(";"):
        if statement.strip():
            connection.execute(statement)
