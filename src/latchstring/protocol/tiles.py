"""The tiles of a log (C2SP tlog-tiles, height 8): appending to them, and proofs from them. Pure: tiles go in and out.

Tile ``index`` at ``level`` holds up to 256 hashes of 32 bytes, one after the other. Hash i of it is the hash of the
perfect subtree over the 256**level leaves from leaf (index * 256 + i) * 256**level on. A partial tile has fewer than
256 hashes. A tree of n leaves has floor(n / 256**l) hashes at level l; what a stored tile has beyond them belongs to a
larger tree, and is ignored.

There are two ways to append, with equal results:

- :func:`extend` needs the log's :class:`~latchstring.protocol.frontier.Frontier` (at most 63 hashes, kept beside the
  size) and reads no tile. It says which hashes to add to which tiles, and costs two hashes for an entry.
- :func:`append` needs only the size, reads the right edge, and returns whole tiles. It hashes the right edge again,
  which costs up to 255 hashes for each level.

A tile that a reader returns is trusted: whoever does not trust its storage compares :func:`root` with a verified
checkpoint, and verifies a proof after making it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from latchstring.protocol.frontier import Frontier, StreamingRoot, fold
from latchstring.protocol.merkle import HASH_BYTES, MAX_TREE_SIZE, node_hash
from latchstring.protocol.subtrees import Range, Subtree, consistency_ranges, inclusion_ranges, perfect_subtrees

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES
MAX_LEVEL: Final = 63


class TileError(ValueError):
    """A tile that cannot be what it should be, or a path that names none."""


class TileReader(Protocol):
    """Reads the stored tiles of one log."""

    def __call__(self, level: int, index: int, /) -> bytes:
        """Return the tile's hashes, as many as are stored; empty if there is no such tile."""


TileId = tuple[int, int]
"""Which tile of a log: (level, index)."""


@dataclass(frozen=True, slots=True)
class TileUpdate:
    """A whole tile as it is after an append, to be stored in place of what was there."""

    level: int
    index: int
    hashes: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TileSuffix:
    """Hashes to be added to a tile that holds ``start`` hashes already; at ``start`` 0 the tile is new."""

    level: int
    index: int
    start: int
    hashes: bytes = field(repr=False)


class Extension(NamedTuple):
    """What :func:`extend` makes: the log's new frontier, and what its tiles gain, ascending by (level, index)."""

    frontier: Frontier
    suffixes: tuple[TileSuffix, ...]


class Appended(NamedTuple):
    """What :func:`append` makes: the new size and root, and the changed tiles, ascending by (level, index)."""

    size: int
    root: bytes
    updates: tuple[TileUpdate, ...]


def tile_width(level: int, index: int, size: int) -> int:
    """Return how many hashes a tile has in a tree of ``size``: 0 (there is no such tile) to 256 (full)."""
    return max(0, min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH))


def extend(frontier: Frontier, leaf_hashes: Iterable[bytes]) -> Extension:
    """Append leaves to the tree of ``frontier`` without reading a tile.

    Raises:
        ValueError: a leaf's hash does not have 32 bytes, or the tree is full.
    """
    tree = StreamingRoot(frontier)
    starts: dict[TileId, int] = {}
    gains: dict[TileId, bytearray] = {}
    for leaf_hash in leaf_hashes:
        for subtree, value in tree.add(leaf_hash):
            height, index = subtree
            if height % TILE_HEIGHT:
                continue
            tile = (height // TILE_HEIGHT, index // TILE_WIDTH)
            if tile not in gains:
                starts[tile] = index % TILE_WIDTH
                gains[tile] = bytearray()
            gains[tile] += value
    suffixes = (TileSuffix(*tile, start=starts[tile], hashes=bytes(gains[tile])) for tile in sorted(gains))
    return Extension(tree.frontier(), tuple(suffixes))


def append(size: int, leaf_hashes: Iterable[bytes], read_tile: TileReader) -> Appended:
    """Append leaves to the tree of ``size`` leaves whose tiles ``read_tile`` reads. Only right-edge tiles are read.

    Raises:
        TileError: a tile is missing, too short, or malformed.
        ValueError: a leaf's hash does not have 32 bytes, or the tree is full.
    """
    tiles = _Tiles(read_tile)
    extension = extend(_frontier(size, tiles), leaf_hashes)
    updates = (
        TileUpdate(part.level, part.index, tiles.prefix(part.level, part.index, part.start) + part.hashes)
        for part in extension.suffixes
    )
    return Appended(extension.frontier.size, extension.frontier.root(), tuple(updates))


def read_frontier(size: int, read_tile: TileReader) -> Frontier:
    """Return the frontier of the tree of ``size`` leaves, from its tiles (:func:`tiles_for_root` lists them).

    Raises:
        TileError: a tile is missing, too short, or malformed.
    """
    return _frontier(size, _Tiles(read_tile))


def root(size: int, read_tile: TileReader) -> bytes:
    """Return the root of the tree of ``size`` leaves, from its tiles (:func:`tiles_for_root` lists them).

    Raises:
        TileError: a tile is missing, too short, or malformed.
    """
    return read_frontier(size, read_tile).root()


def prove_inclusion(index: int, size: int, read_tile: TileReader) -> tuple[bytes, ...]:
    """Return the inclusion proof of leaf ``index`` in the tree of ``size`` leaves, from its tiles.

    Raises:
        ValueError: the index is not in the tree.
        TileError: a tile is missing, too short, or malformed.
    """
    return _hash_ranges(_inclusion(index, size), read_tile)


def prove_consistency(old_size: int, new_size: int, read_tile: TileReader) -> tuple[bytes, ...]:
    """Return the consistency proof between two sizes, from the tiles; from size 0 it is empty.

    Raises:
        ValueError: the old size is negative, or larger than the new one.
        TileError: a tile is missing, too short, or malformed.
    """
    return _hash_ranges(_consistency(old_size, new_size), read_tile)


def tiles_for_root(size: int) -> frozenset[TileId]:
    """Return the tiles that :func:`root`, :func:`read_frontier` and :func:`append` read, to be fetched beforehand."""
    _require_size(size)
    return _tiles_of([(0, size)])


def tiles_for_inclusion(index: int, size: int) -> frozenset[TileId]:
    """Return the tiles that :func:`prove_inclusion` reads, to be fetched beforehand.

    Raises:
        ValueError: the index is not in the tree.
    """
    return _tiles_of(_inclusion(index, size))


def tiles_for_consistency(old_size: int, new_size: int) -> frozenset[TileId]:
    """Return the tiles that :func:`prove_consistency` reads, to be fetched beforehand.

    Raises:
        ValueError: the old size is negative, or larger than the new one.
    """
    return _tiles_of(_consistency(old_size, new_size))


class _Tiles:
    """Reads each tile once, and checks its form."""

    def __init__(self, read_tile: TileReader) -> None:
        self._read_tile = read_tile
        self._seen: dict[TileId, bytes] = {}

    def prefix(self, level: int, index: int, width: int) -> bytes:
        """Return the first ``width`` hashes of a tile."""
        if width == 0:
            return b""
        tile = (level, index)
        if tile not in self._seen:
            self._seen[tile] = self._read_tile(level, index)
        data = self._seen[tile]
        if len(data) % HASH_BYTES or len(data) > TILE_BYTES:
            raise TileError(
                f"tile {level}/{index} has {len(data)} bytes, which is no number of hashes up to {TILE_WIDTH}"
            )
        if len(data) < width * HASH_BYTES:
            raise TileError(f"tile {level}/{index} has {len(data) // HASH_BYTES} hashes, but {width} are needed")
        return data[: width * HASH_BYTES]

    def hash_of(self, subtree: Subtree) -> bytes:
        """Return the hash of a perfect subtree, from the hashes of the one tile that has them."""
        tile, first, count = _locate(subtree)
        data = self.prefix(*tile, first + count)
        hashes = [data[offset : offset + HASH_BYTES] for offset in range(first * HASH_BYTES, len(data), HASH_BYTES)]
        while len(hashes) > 1:
            hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
        return hashes[0]


def _locate(subtree: Subtree) -> tuple[TileId, int, int]:
    """Return the tile below a perfect subtree, and which of its hashes the subtree covers: first and count."""
    height, index = subtree
    level, rest = divmod(height, TILE_HEIGHT)
    tile_index, first = divmod(index << rest, TILE_WIDTH)
    return (level, tile_index), first, 1 << rest


def _hash_ranges(ranges: Sequence[Range], read_tile: TileReader) -> tuple[bytes, ...]:
    tiles = _Tiles(read_tile)
    return tuple(fold([tiles.hash_of(subtree) for subtree in perfect_subtrees(*part)]) for part in ranges)


def _tiles_of(ranges: Sequence[Range]) -> frozenset[TileId]:
    return frozenset(_locate(subtree)[0] for part in ranges for subtree in perfect_subtrees(*part))


def _frontier(size: int, tiles: _Tiles) -> Frontier:
    _require_size(size)
    return Frontier(size, tuple(tiles.hash_of(subtree) for subtree in perfect_subtrees(0, size)))


def _inclusion(index: int, size: int) -> list[Range]:
    _require_size(size)
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    return inclusion_ranges(index, size)


def _consistency(old_size: int, new_size: int) -> list[Range]:
    _require_size(new_size)
    if not 0 <= old_size <= new_size:
        raise ValueError(f"a tree of {old_size} leaves cannot begin one of {new_size}")
    return consistency_ranges(old_size, new_size)


def _require_size(size: int) -> None:
    if not 0 <= size <= MAX_TREE_SIZE:
        raise ValueError("the tree's size is out of range")
