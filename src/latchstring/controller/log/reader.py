"""Reads a log within a transaction: entries, checkpoint and proofs, all of one moment."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from latchstring.controller.errors import LogDamagedError
from latchstring.controller.store.records import LogHead
from latchstring.controller.store.store import UnitOfWork
from latchstring.protocol.api import MAX_PAGE, EntryPage, EntryView
from latchstring.protocol.tiles import (
    TileError,
    TileId,
    TileReader,
    prove_consistency,
    prove_inclusion,
    tiles_for_consistency,
    tiles_for_inclusion,
)

MAX_PAGE_BYTES: Final = 4 * 1024 * 1024
"""Entries in one page, in bytes: pages end early where entries are long."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof's hashes, and the signed checkpoint that it leads to."""

    hashes: tuple[bytes, ...]
    size: int
    checkpoint: str


class LogReader:
    """Reads one log in one transaction.

    Raises (all methods):
        LogDamagedError: there is no such log, or it lacks what its head says that it has.
    """

    def __init__(self, tx: UnitOfWork, log_id: str) -> None:
        self._tx = tx
        self._log_id = log_id

    async def head(self) -> LogHead:
        """Return the log's head."""
        head = await self._tx.logs.head(self._log_id)
        if head is None:
            raise LogDamagedError(f"log {self._log_id} is missing")
        return head

    async def page(self, start: int, limit: int) -> EntryPage:
        """Return entries from ``start`` on, at most ``limit``, and where to go on; none beyond the end."""
        head = await self.head()
        found = await self._tx.logs.entries(self._log_id, start=start, limit=max(1, min(limit, MAX_PAGE)))
        views: list[EntryView] = []
        room = MAX_PAGE_BYTES
        for expected, entry in enumerate(found, start):
            if entry.index != expected or entry.index >= head.size:
                raise LogDamagedError(f"log {self._log_id} is damaged at entry {expected}: it is not there")
            room -= len(entry.body)
            if views and room < 0:
                break
            views.append(EntryView(index=entry.index, entry=base64.b64encode(entry.body).decode()))
        after = start + len(views)
        if not views and start < head.size:
            raise LogDamagedError(f"log {self._log_id} is damaged at entry {start}: it is not there")
        return EntryPage(
            log=self._log_id, size=head.size, entries=tuple(views), next=after if after < head.size else None
        )

    async def prove_inclusion(self, index: int) -> Proof:
        """Prove that entry ``index`` is in the log.

        Raises:
            ValueError: the log has no such entry.
        """
        head = await self.head()
        tiles = await self.tiles(tiles_for_inclusion(index, head.size))
        try:
            return Proof(prove_inclusion(index, head.size, tiles), head.size, head.checkpoint)
        except TileError as error:
            raise self._damaged(error) from error

    async def prove_consistency(self, old_size: int) -> Proof:
        """Prove that the log continues the one that it was at ``old_size``.

        Raises:
            ValueError: the log was never that large.
        """
        head = await self.head()
        tiles = await self.tiles(tiles_for_consistency(old_size, head.size))
        try:
            return Proof(prove_consistency(old_size, head.size, tiles), head.size, head.checkpoint)
        except TileError as error:
            raise self._damaged(error) from error

    async def tiles(self, wanted: Iterable[TileId]) -> TileReader:
        """Fetch tiles, and return what reads them from memory."""
        return _Fetched(await self._tx.logs.tiles(self._log_id, wanted))

    def _damaged(self, error: TileError) -> LogDamagedError:
        return LogDamagedError(f"log {self._log_id} is damaged: {error}")


class _Fetched:
    def __init__(self, tiles: Mapping[TileId, bytes]) -> None:
        self._tiles = tiles

    def __call__(self, level: int, index: int) -> bytes:
        return self._tiles.get((level, index), b"")
