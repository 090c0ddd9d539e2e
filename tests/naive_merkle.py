"""RFC 6962 section 2.1 word by word, recursive and slow: what the project's tree is compared with."""

import hashlib
from collections.abc import Sequence


def split_point(count: int) -> int:
    """Return the largest power of two smaller than ``count``."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


class NaiveTree:
    """A tree over entries, as the RFC's recursive definitions say."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.entries = entries
        self._hashes: dict[tuple[int, int], bytes] = {}

    def hash(self, start: int, end: int) -> bytes:
        """Return MTH(D[start:end])."""
        if (start, end) not in self._hashes:
            self._hashes[start, end] = self._compute(start, end)
        return self._hashes[start, end]

    def path(self, index: int, start: int, end: int) -> list[bytes]:
        """Return PATH(index, D[start:end])."""
        if end - start == 1:
            return []
        middle = start + split_point(end - start)
        if start + index < middle:
            return [*self.path(index, start, middle), self.hash(middle, end)]
        return [*self.path(index - (middle - start), middle, end), self.hash(start, middle)]

    def proof(self, old_size: int, new_size: int) -> list[bytes]:
        """Return PROOF(old_size, D[0:new_size])."""
        return self._subproof(old_size, 0, new_size, whole=True)

    def _subproof(self, old_size: int, start: int, end: int, *, whole: bool) -> list[bytes]:
        if old_size == end - start:
            return [] if whole else [self.hash(start, end)]
        left = split_point(end - start)
        middle = start + left
        if old_size <= left:
            return [*self._subproof(old_size, start, middle, whole=whole), self.hash(middle, end)]
        return [*self._subproof(old_size - left, middle, end, whole=False), self.hash(start, middle)]

    def _compute(self, start: int, end: int) -> bytes:
        if end == start:
            return hashlib.sha256(b"").digest()
        if end - start == 1:
            return hashlib.sha256(b"\x00" + self.entries[start]).digest()
        middle = start + split_point(end - start)
        return hashlib.sha256(b"\x01" + self.hash(start, middle) + self.hash(middle, end)).digest()
