"""Write transactions on SQLite, one at a time: statements run at once, only what waits for the disk goes to a thread.

A statement inside a transaction works on memory (the page cache, and the log that is flushed at the commit) and takes
tens of microseconds; handing each of its steps to a thread and back costs several times that. What can take long is the
begin, which waits for another process's lock, and the commit, which flushes. These two run in a thread of their own. An
engine that talks to a server would run everything asynchronously: repositories see only :class:`Executes`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Protocol

from sqlalchemy import Connection, CursorResult, Engine, Executable


class Executes(Protocol):
    """A connection within a transaction: what SQLAlchemy's ``AsyncConnection`` has, as far as repositories use it."""

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None, /
    ) -> CursorResult[*tuple[Any, ...]]:
        """Run a statement; the result is complete."""


class _InlineConnection:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None, /
    ) -> CursorResult[*tuple[Any, ...]]:
        return self._connection.execute(statement, parameters)


class SqliteWriter:
    """Runs one write transaction after the other, in the order in which they were asked for."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Executes]:
        """Begin a transaction; it is durable when the block ends without an exception.

        A task that is cancelled within it leaves nothing behind. One that is cancelled while the commit runs does not
        know whether it was in time, as with any crash at that moment.
        """
        async with self._turn:
            with self.engine.connect() as connection:
                # Closing a connection that was not committed rolls back.
                await self._run(connection.begin)
                yield _InlineConnection(connection)
                await self._run(connection.commit)

    async def close(self) -> None:
        """Close the connection, once the transaction that is under way has ended."""
        async with self._turn:
            self.engine.dispose()
            self._thread.shutdown()

    async def _run(self, work: Callable[[], object]) -> None:
        """Run ``work`` in the thread. Even if the caller is cancelled, this returns only once it has ended."""
        running = asyncio.get_running_loop().run_in_executor(self._thread, work)
        cancelled: asyncio.CancelledError | None = None
        while not running.done():
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            running.exception()
            raise cancelled
        running.result()
