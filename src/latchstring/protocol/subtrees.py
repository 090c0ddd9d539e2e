"""Which subtrees of an RFC 6962 tree a root or a proof is made of. Arithmetic only, no hashes.

A range ``(start, end)`` of leaves here is always one that a tree splits into, so ``start`` is a multiple of the largest
power of two that the range holds.
"""

Range = tuple[int, int]
"""Leaves ``start`` to ``end - 1``."""

Subtree = tuple[int, int]
"""A perfect subtree as (height, index): 2**height leaves, from leaf ``index << height`` on."""


def perfect_subtrees(start: int, end: int) -> list[Subtree]:
    """Return the perfect subtrees that a range consists of, left to right, each smaller than the one before."""
    subtrees: list[Subtree] = []
    while start < end:
        height = (end - start).bit_length() - 1
        subtrees.append((height, start >> height))
        start += 1 << height
    return subtrees


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the ranges whose hashes prove leaf ``index`` in a tree of ``size``, from the leaf up (RFC 6962 2.1.1)."""
    start, end = 0, size
    ranges: list[Range] = []
    while end - start > 1:
        middle = _split(start, end)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    ranges.reverse()
    return ranges


def consistency_ranges(old_size: int, new_size: int) -> list[Range]:
    """Return the ranges whose hashes prove that ``old_size`` leaves begin a tree of ``new_size`` (RFC 6962 2.1.2)."""
    if old_size == 0:
        return []
    start, end = 0, new_size
    ranges: list[Range] = []
    while end != old_size:
        middle = _split(start, end)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start != 0:  # otherwise it is the old tree itself, whose root the verifier has
        ranges.append((start, end))
    ranges.reverse()
    return ranges


def _split(start: int, end: int) -> int:
    """Return where a range of two or more leaves splits: after the largest power of two smaller than it."""
    return start + (1 << ((end - start - 1).bit_length() - 1))
