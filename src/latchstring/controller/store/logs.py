"""The rows of the logs. What they say is computed in ``controller/log``."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, bindparam, select, tuple_, update

from latchstring.controller.errors import LogDamagedError
from latchstring.controller.store.records import LogEntry, LogHead
from latchstring.controller.store.repository import Lookup, Repository
from latchstring.controller.store.schema import log_entries, log_heads, log_tiles
from latchstring.protocol.frontier import Frontier
from latchstring.protocol.merkle import HASH_BYTES
from latchstring.protocol.tiles import TileId, TileSuffix

_HEAD: Final = Lookup(select(log_heads).where(log_heads.c.log_id == bindparam("key")), log_heads)
_CHANGE_HEAD: Final = update(log_heads).where(log_heads.c.log_id == bindparam("key"))
_ADD_ENTRIES: Final = log_entries.insert()
_ADD_TILES: Final = log_tiles.insert()


class LogRepository(Repository):
    """The heads, entries and tiles of all logs."""

    async def create(self, head: LogHead) -> None:
        """Add a log."""
        await self._connection.execute(log_heads.insert(), {"log_id": head.log_id, **_head_values(head)})

    async def head(self, log_id: str) -> LogHead | None:
        """Return a log's head. In a write its row is locked, so appends to one log follow each other."""
        row = (await self._connection.execute(self._form(_HEAD), {"key": log_id})).one_or_none()
        return None if row is None else _head(row)

    async def heads(self) -> tuple[LogHead, ...]:
        """Return the heads of all logs, by id."""
        rows = await self._connection.execute(select(log_heads).order_by(log_heads.c.log_id))
        return tuple(_head(row) for row in rows)

    async def extend(self, head: LogHead, entries: Sequence[LogEntry], suffixes: Sequence[TileSuffix]) -> None:
        """Add entries and what the tiles gain by them, and put ``head`` in place of the log's head."""
        log_id = head.log_id
        entry_rows = [
            {
                "log_id": log_id,
                "entry_index": entry.index,
                "type": entry.type,
                "session_id": entry.session_id,
                "body": entry.body,
            }
            for entry in entries
        ]
        tile_rows = [
            {
                "log_id": log_id,
                "level": part.level,
                "tile_index": part.index,
                "start": part.start,
                "hashes": part.hashes,
            }
            for part in suffixes
        ]
        await self._connection.execute(_ADD_ENTRIES, entry_rows)
        await self._connection.execute(_ADD_TILES, tile_rows)
        await self._connection.execute(_CHANGE_HEAD, {"key": log_id, **_head_values(head)})

    async def entries(self, log_id: str, *, start: int, limit: int) -> tuple[LogEntry, ...]:
        """Return up to ``limit`` entries from index ``start`` on."""
        columns = (log_entries.c.entry_index, log_entries.c.type, log_entries.c.session_id, log_entries.c.body)
        query = (
            select(*columns)
            .where(log_entries.c.log_id == log_id, log_entries.c.entry_index >= start)
            .order_by(log_entries.c.entry_index)
            .limit(limit)
        )
        rows = await self._connection.execute(query)
        return tuple(LogEntry(row.entry_index, row.type, row.session_id, row.body) for row in rows)

    async def tiles(self, log_id: str, wanted: Iterable[TileId]) -> Mapping[TileId, bytes]:
        """Return those of the wanted tiles that there are, put together from their pieces.

        A tile ends where a piece is missing: whoever needs more hashes than it has finds out.
        """
        pairs = sorted(wanted)
        if not pairs:
            return {}
        query = (
            select(log_tiles.c.level, log_tiles.c.tile_index, log_tiles.c.start, log_tiles.c.hashes)
            .where(log_tiles.c.log_id == log_id, tuple_(log_tiles.c.level, log_tiles.c.tile_index).in_(pairs))
            .order_by(log_tiles.c.level, log_tiles.c.tile_index, log_tiles.c.start)
        )
        tiles: dict[TileId, bytearray] = {}
        for row in await self._connection.execute(query):
            tile = tiles.setdefault((row.level, row.tile_index), bytearray())
            if len(tile) == row.start * HASH_BYTES:
                tile += row.hashes
        return {tile_id: bytes(hashes) for tile_id, hashes in tiles.items()}


def _head_values(head: LogHead) -> dict[str, Any]:
    return {"size": head.size, "frontier": head.frontier.to_bytes(), "checkpoint": head.checkpoint}


def _head(row: Row[Any]) -> LogHead:
    try:
        frontier = Frontier.from_bytes(row.size, row.frontier)
    except ValueError as error:
        raise LogDamagedError(f"log {row.log_id} is damaged: its head is malformed: {error}") from error
    return LogHead(row.log_id, frontier, row.checkpoint)
