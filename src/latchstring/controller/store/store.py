"""The controller's state behind transactions: what one changes is durable when it ends, or it never happened.

::

    async with store.write() as tx:
        session = await tx.sessions.by_id(session_id)
        ...

A write sees no other write between its begin and its end, whichever process that comes from. Within this process,
writers queue in order, so that SQLite's lock is not fought over. A failure rolls back: the caller's exceptions pass
through, the database's own become :class:`~latchstring.controller.errors.StoreUnavailableError`.
"""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from latchstring.controller.errors import StoreDamagedError, StoreUnavailableError
from latchstring.controller.store.directory import CustomerRepository, EndpointRepository, InvitationRepository
from latchstring.controller.store.engine import create_read_engine, create_write_engine
from latchstring.controller.store.logs import LogRepository
from latchstring.controller.store.people import AccountRepository, TokenRepository
from latchstring.controller.store.revision import SCHEMA_REVISION, read_revision
from latchstring.controller.store.sessions import SessionRepository
from latchstring.controller.store.writer import Executes, SqliteWriter

logger = logging.getLogger(__name__)


class UnitOfWork:
    """One transaction's view of everything that is stored."""

    def __init__(self, connection: Executes, *, locking: bool) -> None:
        self.customers = CustomerRepository(connection, locking=locking)
        self.endpoints = EndpointRepository(connection, locking=locking)
        self.invitations = InvitationRepository(connection, locking=locking)
        self.accounts = AccountRepository(connection, locking=locking)
        self.tokens = TokenRepository(connection, locking=locking)
        self.sessions = SessionRepository(connection, locking=locking)
        self.logs = LogRepository(connection, locking=locking)


class Store:
    """The database of one process."""

    def __init__(self, writing: SqliteWriter, reading: AsyncEngine) -> None:
        self._writing = writing
        self._reading = reading

    @classmethod
    async def open(cls, path: Path) -> "Store":
        """Open a database that is at this version's schema (``migrate`` brings it there).

        Raises:
            StoreDamagedError: there is none, it is not ours, or of another version.
            StoreUnavailableError: it cannot be read now.
        """
        _require_file(path)
        store = cls(SqliteWriter(create_write_engine(path)), create_read_engine(path))
        try:
            await store._check_revision(path)
        except BaseException:
            await store.close()
            raise
        return store

    async def close(self) -> None:
        """Close all connections and end their threads."""
        await self._writing.close()
        await self._reading.dispose()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[UnitOfWork]:
        """Begin a transaction that may change things; it is durable when the block ends without an exception.

        Raises:
            StoreUnavailableError: the database refused, at any point up to the end of the block. Nothing was changed.
        """
        with _translated():
            async with self._writing.begin() as connection:
                yield UnitOfWork(connection, locking=True)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[UnitOfWork]:
        """Begin a transaction that sees one moment, and cannot change anything.

        Raises:
            StoreUnavailableError: the database refused.
        """
        with _translated():
            async with self._reading.begin() as connection:
                yield UnitOfWork(connection, locking=False)

    async def _check_revision(self, path: Path) -> None:
        with _translated():
            async with self._reading.begin() as connection:
                revision = await connection.run_sync(read_revision)
        if revision != SCHEMA_REVISION:
            raise StoreDamagedError(
                f"{path} has schema {revision or 'none'}, and this version of latchstring needs {SCHEMA_REVISION}"
            )


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what the database refuses into our error, with one line for the administrator; our own bugs pass through."""
    try:
        yield
    except (IntegrityError, ProgrammingError, DataError):
        raise
    except (DBAPIError, PoolTimeoutError) as error:
        logger.warning("the database refused a transaction: %s", error.orig if isinstance(error, DBAPIError) else error)
        raise StoreUnavailableError from error


def _require_file(path: Path) -> None:
    # The driver would create an empty database where there is none.
    if not path.is_file():
        raise StoreDamagedError(f"{path} is missing; restore it from a backup")
