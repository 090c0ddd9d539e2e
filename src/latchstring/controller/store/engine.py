"""SQLite engines: the one place that knows how SQLite must be opened.

The driver's own transactions begin at the first write, so that two read-modify-writes interleave and one is lost
without an error. Here the driver begins nothing; the engine for writes says ``BEGIN IMMEDIATE``, which takes the one
write lock before anything is read, and the engine for reads says ``BEGIN``, which is a snapshot under WAL and waits for
nobody.

``synchronous=FULL`` makes every commit durable before it returns. Processes beside the serving one (an administrator's
commands) write too: who finds the lock taken waits for :data:`BUSY_SECONDS`.
"""

from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

BUSY_SECONDS: Final = 10.0
READERS: Final = 4
_FOR_ALL: Final = ("PRAGMA trusted_schema=OFF", "PRAGMA cell_size_check=ON")
_FOR_WRITING: Final = (
    *_FOR_ALL,
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
)
_FOR_READING: Final = (*_FOR_ALL, "PRAGMA query_only=ON")


def create_write_engine(path: Path) -> Engine:
    """Return an engine of one connection whose transactions are exclusive from their begin.

    Its connection may be used by any thread, by one at a time.
    """
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        pool_size=1,
        max_overflow=0,
        connect_args={"isolation_level": None, "timeout": BUSY_SECONDS, "check_same_thread": False},
    )
    _configure(engine, begin="BEGIN IMMEDIATE", pragmas=_FOR_WRITING)
    return engine


def create_read_engine(path: Path) -> AsyncEngine:
    """Return an engine whose transactions are snapshots, and refuse to write."""
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        pool_size=READERS,
        max_overflow=0,
        connect_args={"isolation_level": None, "timeout": BUSY_SECONDS},
    )
    _configure(engine.sync_engine, begin="BEGIN", pragmas=_FOR_READING)
    return engine


def _configure(engine: Engine, *, begin: str, pragmas: tuple[str, ...]) -> None:
    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)
