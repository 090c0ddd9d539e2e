"""The right edge of a growing tree."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchstring.protocol.frontier import EMPTY_FRONTIER, Frontier, StreamingRoot
from latchstring.protocol.merkle import EMPTY_ROOT, MAX_TREE_SIZE, leaf_hash
from naive_merkle import NaiveTree

TREE = NaiveTree([f"entry {number}".encode() for number in range(600)])


def test_streaming_root_of_every_size() -> None:
    """After each leaf the streaming root is the RFC's root of that size."""
    tree = StreamingRoot()
    assert tree.root() == EMPTY_FRONTIER.root() == EMPTY_ROOT
    for size, entry in enumerate(TREE.entries, start=1):
        tree.add(leaf_hash(entry))
        assert tree.size == size
        assert tree.root() == tree.frontier().root() == TREE.hash(0, size)


def test_completed_subtrees_have_their_hashes() -> None:
    """Each subtree that a leaf completes is reported once, with the RFC's hash."""
    tree, seen = StreamingRoot(), set()
    for entry in TREE.entries[:256]:
        for (height, index), value in tree.add(leaf_hash(entry)):
            assert value == TREE.hash(index << height, (index + 1) << height)
            seen.add((height, index))
    assert len(seen) == 511


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=600), st.integers(min_value=0, max_value=600))
def test_a_stored_frontier_goes_on_where_it_was(first: int, second: int) -> None:
    """A frontier that went through bytes continues to the same root as one run."""
    first, second = sorted((first, second))
    tree = StreamingRoot()
    tree.add_all(map(leaf_hash, TREE.entries[:first]))
    stored = tree.frontier().to_bytes()
    again = StreamingRoot(Frontier.from_bytes(first, stored))
    again.add_all(map(leaf_hash, TREE.entries[first:second]))
    assert again.root() == TREE.hash(0, second)


@given(st.integers(), st.binary(max_size=200))
def test_bytes_of_another_size_are_refused(size: int, data: bytes) -> None:
    """Stored bytes are taken only if they can belong to the size beside them."""
    if 0 <= size <= MAX_TREE_SIZE and len(data) == 32 * size.bit_count():
        assert Frontier.from_bytes(size, data).to_bytes() == data
        return
    with pytest.raises(ValueError, match=r"tree|hash"):
        Frontier.from_bytes(size, data)


@pytest.mark.parametrize(("size", "length"), [(1, 31), (1, 33), (1, 64), (3, 32), (0, 32), (-1, 32), (2**63, 32)])
def test_a_frontier_that_cannot_be_is_refused(size: int, length: int) -> None:
    """A cut hash, too few or too many of them, and a size out of range are refused."""
    with pytest.raises(ValueError, match=r"tree|hash"):
        Frontier.from_bytes(size, b"\x00" * length)


def test_a_bad_leaf_or_a_full_tree_is_refused() -> None:
    """Neither a leaf's hash of another length nor a leaf too many changes the tree."""
    tree = StreamingRoot()
    with pytest.raises(ValueError, match="32 bytes"):
        tree.add(b"short")
    assert tree.size == 0
    full = StreamingRoot(Frontier(MAX_TREE_SIZE, (b"\x00" * 32,) * 63))
    with pytest.raises(ValueError, match="full"):
        full.add(b"\x00" * 32)
