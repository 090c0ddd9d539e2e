"""Appending to a log's tiles, and roots and proofs from them."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchstring.protocol.frontier import EMPTY_FRONTIER, Frontier
from latchstring.protocol.merkle import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from latchstring.protocol.tiles import (
    TILE_WIDTH,
    TileError,
    TileId,
    TileReader,
    append,
    extend,
    prove_consistency,
    prove_inclusion,
    read_frontier,
    root,
    tile_width,
    tiles_for_consistency,
    tiles_for_inclusion,
    tiles_for_root,
)
from naive_merkle import NaiveTree

LEAVES = [leaf_hash(f"entry {number}".encode()) for number in range(66_000)]
TREE = NaiveTree([f"entry {number}".encode() for number in range(1_100)])


class Store:
    """Tiles in memory. Remembers which were read."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.reads: set[tuple[int, int]] = set()

    def __call__(self, level: int, index: int, /) -> bytes:
        """Read a tile."""
        self.reads.add((level, index))
        return self.tiles.get((level, index), b"")

    def extend(self, frontier: Frontier, leaf_hashes: list[bytes]) -> Frontier:
        """Append as a log does that keeps its frontier."""
        extension = extend(frontier, leaf_hashes)
        for part in extension.suffixes:
            stored = self.tiles.get((part.level, part.index), b"")
            assert len(stored) == part.start * 32
            self.tiles[part.level, part.index] = stored + part.hashes
        return extension.frontier

    def append(self, size: int, leaf_hashes: list[bytes]) -> bytes:
        """Append as a log does that keeps its tiles only, and return the root."""
        appended = append(size, leaf_hashes, self)
        assert appended.size == size + len(leaf_hashes)
        self.tiles.update({(update.level, update.index): update.hashes for update in appended.updates})
        return appended.root


def store_of(size: int) -> Store:
    """Return the tiles of the first ``size`` leaves."""
    store = Store()
    store.extend(EMPTY_FRONTIER, LEAVES[:size])
    return store


LARGE = store_of(len(LEAVES))


def test_every_proof_up_to_130_leaves() -> None:
    """Every proof that tiles of 130 leaves give, for every smaller size too, is the RFC's own."""
    store = store_of(130)
    assert root(0, store) == EMPTY_ROOT
    for size in range(1, 131):
        assert root(size, store) == TREE.hash(0, size)
        for number in range(size):
            assert list(prove_inclusion(number, size, store)) == TREE.path(number, 0, size)
            assert list(prove_consistency(number + 1, size, store)) == TREE.proof(number + 1, size)


@pytest.mark.parametrize("size", [255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 1100])
def test_proofs_around_the_edges_of_tiles(size: int) -> None:
    """Where tiles fill and new levels begin, proofs are the RFC's own."""
    assert root(size, LARGE) == TREE.hash(0, size)
    for number in {0, 1, 254, 255 % size, size // 2, size - 1, *range(7, size, 53)}:
        assert list(prove_inclusion(number, size, LARGE)) == TREE.path(number, 0, size)
        assert list(prove_consistency(number + 1, size, LARGE)) == TREE.proof(number + 1, size)
    assert prove_consistency(0, size, LARGE) == ()


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 66_000])
def test_proofs_across_three_levels(size: int) -> None:
    """Proofs of a tree with a third level of tiles verify against its root, and against that of a second run."""
    frontier = extend(EMPTY_FRONTIER, LEAVES[:size]).frontier
    tree_root = root(size, LARGE)
    assert frontier.root() == tree_root
    for number in [0, 255, 256, 65_279, 65_280, size - 1]:
        proof = prove_inclusion(number, size, LARGE)
        verify_inclusion(index=number, size=size, leaf=LEAVES[number], proof=proof, root=tree_root)
    for old_size in [1, 256, 257, 65_280, 65_281, size - 1, size]:
        verify_consistency(
            old_size=old_size,
            old_root=root(old_size, LARGE),
            new_size=size,
            new_root=tree_root,
            proof=prove_consistency(old_size, size, LARGE),
        )


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(min_value=0, max_value=300), max_size=6))
def test_batches_of_any_sizes_give_the_same_tiles(batches: list[int]) -> None:
    """However a log is cut into appends, with the frontier or without, its tiles and root are the same."""
    kept, read, frontier = Store(), Store(), EMPTY_FRONTIER
    for count in batches:
        size = frontier.size
        leaves = LEAVES[size : size + count]
        frontier = kept.extend(frontier, leaves)
        assert read.append(size, leaves) == frontier.root()
        assert read_frontier(frontier.size, read) == frontier
    assert kept.tiles == read.tiles == store_of(frontier.size).tiles
    for (level, index), data in kept.tiles.items():
        assert len(data) == 32 * tile_width(level, index, frontier.size) > 0


@pytest.mark.parametrize("size", [0, 1, 255, 256, 300, 65_535, 65_536, 65_999])
def test_an_append_touches_only_the_right_edge(size: int) -> None:
    """One append reads at most one tile for each level, and writes at most one for each level."""
    store = Store()
    store.tiles = dict(LARGE.tiles)
    store.append(size, LEAVES[size : size + 1])
    assert len(store.reads) <= 3
    for level, index in store.reads:
        hashes = size >> 8 * level
        assert index in (hashes // TILE_WIDTH, (hashes - 1) // TILE_WIDTH)
    updates = append(size, LEAVES[size : size + 1], store).updates
    assert [update.level for update in updates] == list(range(len(updates)))


def test_an_append_drops_what_a_larger_tree_left() -> None:
    """Appending at a size below what a tile holds replaces the hashes beyond that size."""
    store = store_of(10)
    updates = append(7, [LEAVES[50]], store).updates
    assert updates[0].hashes == b"".join([*LEAVES[:7], LEAVES[50]])


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=66_000), st.data())
def test_the_tiles_named_beforehand_are_enough(size: int, data: st.DataObject) -> None:
    """Roots and proofs read exactly the tiles that are named beforehand."""
    number = data.draw(st.integers(min_value=0, max_value=size - 1))
    runs: list[tuple[frozenset[TileId], Callable[[TileReader], object]]] = [
        (tiles_for_root(size), lambda reader: root(size, reader)),
        (tiles_for_inclusion(number, size), lambda reader: prove_inclusion(number, size, reader)),
        (tiles_for_consistency(number, size), lambda reader: prove_consistency(number, size, reader)),
    ]
    for named, run in runs:
        store = Store()
        store.tiles = {tile: LARGE.tiles[tile] for tile in named}
        run(store)
        assert store.reads == named


@pytest.mark.parametrize("data", [b"", b"\x00" * 31, b"\x00" * 33, b"\x00" * 32 * 6, b"\x00" * 32 * 257])
def test_a_tile_that_cannot_be_is_refused(data: bytes) -> None:
    """A tile that is missing, cut, too short for the size, or too long stops whatever needs it."""

    def read_tile(_level: int, _index: int) -> bytes:
        return data

    for run in (
        lambda: root(7, read_tile),
        lambda: append(7, [LEAVES[7]], read_tile),
        lambda: prove_inclusion(0, 7, read_tile),
        lambda: prove_consistency(3, 7, read_tile),
    ):
        with pytest.raises(TileError):
            run()


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5), (0, 2**63)])
def test_a_leaf_outside_the_tree_has_no_proof(index: int, size: int) -> None:
    """A proof of a leaf that is not there, or in a tree that cannot be, is refused before any tile is read."""
    with pytest.raises(ValueError, match="tree"):
        prove_inclusion(index, size, LARGE)


@pytest.mark.parametrize(("old_size", "new_size"), [(6, 5), (-1, 5), (1, 2**63)])
def test_a_shrinking_tree_has_no_proof(old_size: int, new_size: int) -> None:
    """A consistency proof from a larger tree, or in a tree that cannot be, is refused."""
    with pytest.raises(ValueError, match="tree"):
        prove_consistency(old_size, new_size, LARGE)
