"""The right edge of a growing RFC 6962 tree: all that is needed to append to it, in O(log n) space.

A frontier is the tree's size and the hashes of the perfect subtrees that it consists of, largest first: one for each
bit set in the size. The root is their fold from the right.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from latchstring.protocol.merkle import EMPTY_ROOT, HASH_BYTES, MAX_TREE_SIZE, node_hash
from latchstring.protocol.subtrees import Subtree


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the hash over perfect subtrees that lie side by side, largest first; of none, the empty root."""
    if not hashes:
        return EMPTY_ROOT
    current = hashes[-1]
    for left in reversed(hashes[:-1]):
        current = node_hash(left, current)
    return current


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree's size and the hashes of its perfect subtrees, largest first.

    Raises:
        ValueError: the hashes cannot be those of a tree of this size.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_TREE_SIZE:
            raise ValueError("the tree's size is out of range")
        if len(self.hashes) != self.size.bit_count():
            raise ValueError(f"a tree of {self.size} leaves has {self.size.bit_count()} subtrees in its frontier")
        if any(len(value) != HASH_BYTES for value in self.hashes):
            raise ValueError(f"a hash does not have {HASH_BYTES} bytes")

    def root(self) -> bytes:
        """Return the tree's root."""
        return fold(self.hashes)

    def to_bytes(self) -> bytes:
        """Return the hashes one after the other, to be stored beside the size."""
        return b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> "Frontier":
        """Return the frontier that :meth:`to_bytes` stored.

        Raises:
            ValueError: the bytes cannot be those of a tree of this size.
        """
        hashes = (data[offset : offset + HASH_BYTES] for offset in range(0, len(data), HASH_BYTES))
        return cls(size, tuple(hashes))


EMPTY_FRONTIER: Final = Frontier()
"""The frontier of the tree without leaves."""


class StreamingRoot:
    """Computes a tree's root from its leaves' hashes, one after the other, in O(log n) memory."""

    def __init__(self, frontier: Frontier = EMPTY_FRONTIER) -> None:
        self._size = frontier.size
        self._hashes = list(frontier.hashes)

    @property
    def size(self) -> int:
        """The number of leaves so far."""
        return self._size

    def add(self, leaf_hash: bytes) -> list[tuple[Subtree, bytes]]:
        """Append a leaf and return the perfect subtrees that it completes with their hashes, the leaf itself first.

        Raises:
            ValueError: the leaf's hash does not have 32 bytes, or the tree is full.
        """
        if len(leaf_hash) != HASH_BYTES:
            raise ValueError(f"a leaf's hash has {HASH_BYTES} bytes")
        if self._size >= MAX_TREE_SIZE:
            raise ValueError("the tree is full")
        height, index, current = 0, self._size, leaf_hash
        completed: list[tuple[Subtree, bytes]] = [((height, index), current)]
        while index & 1:
            current = node_hash(self._hashes.pop(), current)
            height, index = height + 1, index >> 1
            completed.append(((height, index), current))
        self._hashes.append(current)
        self._size += 1
        return completed

    def add_all(self, leaf_hashes: Iterable[bytes]) -> None:
        """Append leaves in their order, as :meth:`add` does."""
        for leaf_hash in leaf_hashes:
            self.add(leaf_hash)

    def frontier(self) -> Frontier:
        """Return the frontier so far."""
        return Frontier(self._size, tuple(self._hashes))

    def root(self) -> bytes:
        """Return the root so far."""
        return fold(self._hashes)
