"""The agent's way to its journal: appends that are durable before they return, and endings that are never lost.

There are two kinds of appends. :meth:`Journal.append` is for what is about to begin: if it cannot be written, it fails,
and nothing begins. :meth:`Journal.record` is for what has happened already (an ending, a refusal, access off): it is
kept in memory and tried again until it is written, in order. What cannot wait is never made to wait for the disk.

One task takes all that has gathered and appends it as one transaction in a thread of its own, so that a slow disk slows
down neither the sessions nor each other's appends.
"""

import asyncio
import itertools
import logging
import secrets
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from latchstring.endpoint.clock import Clock
from latchstring.endpoint.errors import JournalError, JournalUnavailableError
from latchstring.endpoint.journal.commitments import MAX_DETAIL_CHARACTERS, MAX_REFUSED_CHARACTERS, commit
from latchstring.endpoint.journal.reserve import Reserve
from latchstring.endpoint.journal.standing import Standing
from latchstring.endpoint.journal.store import Item, JournalStore
from latchstring.protocol.endpoint_events import ChannelRefused, EndpointEvent
from latchstring.protocol.grants import Offer
from latchstring.protocol.statements import SignedStatement
from latchstring.protocol.times import format_time

MAX_BATCH: Final = 128
RETRY_SECONDS: Final = 2.0

_Result = TypeVar("_Result")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    item: Item
    written: "asyncio.Future[int]"
    needed: bool
    """Whether it is kept until it is written, rather than given up."""


class Journal:
    """The journal of a running agent. To be used from its event loop.

    Args:
        store: the journal's file, which is the journal's alone from now on.
        reserve: room for endings.
        clock: gives the statements their time.
        retry_seconds: how long to wait before what could not be written is tried again.
    """

    def __init__(
        self, store: JournalStore, reserve: Reserve, clock: Clock, *, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self._store = store
        self._reserve = reserve
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._grown = asyncio.Condition()
        self._available = True
        self._task = asyncio.create_task(self._write_all(), name="journal")

    @property
    def size(self) -> int:
        """How many statements are durable."""
        return self._store.head.size

    @property
    def acknowledged(self) -> int:
        """Up to which sequence the controller has everything."""
        return self._store.head.acknowledged

    @property
    def available(self) -> bool:
        """Whether the last attempt to write succeeded."""
        return self._available

    async def append(self, event: EndpointEvent, *, offer: Offer | None = None, detail: str | None = None) -> int:
        """Append what is about to begin, and return its sequence once it is durable.

        Args:
            event: what begins. With ``detail``, its ``detail_commitment`` is filled in.
            offer: kept beside it, so that people can read names.
            detail: what may be content; only a commitment to it goes into the event.

        Raises:
            JournalUnavailableError: it cannot be written, so it must not begin.
        """
        return await asyncio.shield(self._enqueue(event, offer, detail, needed=False))

    def record(
        self, event: EndpointEvent, *, offer: Offer | None = None, detail: str | None = None
    ) -> "asyncio.Future[int]":
        """Append what has happened, as soon as it can be written. The answer tells when; nobody has to wait for it."""
        return self._enqueue(event, offer, detail, needed=True)

    async def read(self, start: int, limit: int) -> list[SignedStatement]:
        """Return the signed statements from sequence ``start`` on, as :meth:`JournalStore.read`.

        Raises:
            JournalUnavailableError: the file cannot be read.
        """
        return await self._in_thread(lambda: self._store.read(start, limit))

    async def standing(self, session_id: str) -> Standing | None:
        """Return what the journal says of a session.

        Raises:
            JournalUnavailableError: the file cannot be read.
        """
        return await self._in_thread(lambda: self._store.standing(session_id))

    async def offer(self, session_id: str) -> bytes | None:
        """Return the offer that was kept for a session, as :meth:`JournalStore.offer`.

        Raises:
            JournalUnavailableError: the file cannot be read.
        """
        return await self._in_thread(lambda: self._store.offer(session_id))

    async def sessions_beginning(self, prefix: str, limit: int) -> list[str]:
        """Return ids of sessions that begin with ``prefix``, as :meth:`JournalStore.sessions_beginning`.

        Raises:
            JournalUnavailableError: the file cannot be read.
        """
        return await self._in_thread(lambda: self._store.sessions_beginning(prefix, limit))

    async def unfinished(self) -> list[str]:
        """Return the sessions that were granted and have not ended.

        Raises:
            JournalUnavailableError: the file cannot be read.
        """
        return await self._in_thread(self._store.unfinished)

    async def acknowledge(self, next_sequence: int) -> None:
        """Note that the controller has every statement before ``next_sequence``."""
        if next_sequence != self.acknowledged:
            await self._in_thread(lambda: self._store.acknowledge(next_sequence))
            await self._tell_grown()

    async def wait_longer_than(self, size: int) -> None:
        """Wait until the journal has more than ``size`` statements."""
        async with self._grown:
            await self._grown.wait_for(lambda: self.size > size)

    async def wait_failed(self) -> None:
        """Wait until writing has come to an end by a fault of ours, and raise that fault."""
        await asyncio.shield(self._task)

    async def wait_acknowledged(self) -> None:
        """Wait until the controller has every statement."""
        async with self._grown:
            await self._grown.wait_for(lambda: self.acknowledged >= self.size)

    async def flush(self, seconds: float) -> bool:
        """Wait until all is written, at most ``seconds``, and return whether it is."""
        waiting = [entry.written for entry in self._waiting]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)
        return not self._waiting

    async def close(self) -> None:
        """Stop writing, and close the file. What was not written is lost: :meth:`flush` first."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._in_thread(self._store.close)
        self._thread.shutdown()

    def _enqueue(
        self, event: EndpointEvent, offer: Offer | None, detail: str | None, *, needed: bool
    ) -> "asyncio.Future[int]":
        limit = MAX_REFUSED_CHARACTERS if isinstance(event, ChannelRefused) else MAX_DETAIL_CHARACTERS
        opening = None if detail is None else commit(detail, secrets.token_bytes, limit=limit)
        if opening is not None:
            event = event.model_copy(update={"detail_commitment": opening.commitment()})
        item = Item(event=event, time=format_time(self._clock.now()), offer=offer, opening=opening)
        written: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        # A failure that nobody waits for is not worth a warning: whoever cares has awaited it.
        written.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._waiting.append(_Waiting(item, written, needed))
        self._wake.set()
        return written

    async def _write_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                if not await self._write_batch():
                    break
            if self._waiting:
                await self._pause()

    async def _pause(self) -> None:
        """Wait before the next attempt; a new append is one."""
        try:
            async with asyncio.timeout(self._retry_seconds):
                await self._wake.wait()
        except TimeoutError:
            self._wake.set()

    async def _write_batch(self) -> bool:
        """Write what has gathered, and return whether anything was."""
        batch = list(itertools.islice(self._waiting, MAX_BATCH))
        try:
            first = await self._in_thread(lambda: self._append(batch))
        except JournalError as error:
            self._note_failure(error)
            self._give_up(batch, error)
            return await self._write_endings()
        self._written(batch, first)
        await self._tell_grown()
        return True

    async def _write_endings(self) -> bool:
        """Write what has to be written, in the room that was kept for it."""
        # Only those before the first that is not needed: what waits behind it came later, and must be told later.
        batch = list(itertools.islice(itertools.takewhile(lambda entry: entry.needed, self._waiting), MAX_BATCH))
        if not batch:
            return False
        try:
            first = await self._in_thread(lambda: self._append_in_reserve(batch))
        except JournalError as error:
            self._note_failure(error)
            return False
        self._written(batch, first)
        await self._tell_grown()
        return True

    def _append(self, batch: list[_Waiting]) -> int:
        try:
            if any(not entry.needed for entry in batch):
                self._reserve.ensure()
        except OSError as error:
            raise JournalUnavailableError(f"there is no room for the journal: {error.strerror}") from error
        return self._store.append([entry.item for entry in batch])

    def _append_in_reserve(self, batch: list[_Waiting]) -> int:
        self._reserve.release()
        return self._store.append([entry.item for entry in batch])

    def _give_up(self, batch: list[_Waiting], error: JournalError) -> None:
        for entry in batch:
            if not entry.needed:
                self._waiting.remove(entry)
                if not entry.written.done():
                    entry.written.set_exception(JournalUnavailableError(str(error)))

    def _written(self, batch: list[_Waiting], first: int) -> None:
        if not self._available:
            self._available = True
            _log.warning("the journal can be written again")
        for offset, entry in enumerate(batch):
            self._waiting.remove(entry)
            if not entry.written.done():
                entry.written.set_result(first + offset)

    def _note_failure(self, error: JournalError) -> None:
        if self._available:
            self._available = False
            _log.warning("%s; nothing opens until it can be written", error)

    async def _tell_grown(self) -> None:
        async with self._grown:
            self._grown.notify_all()

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
