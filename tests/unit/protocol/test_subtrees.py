"""Which subtrees roots and proofs are made of."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.subtrees import consistency_ranges, inclusion_ranges, perfect_subtrees

SIZES = st.integers(min_value=1, max_value=2**63 - 1)


def test_the_example_of_the_rfc() -> None:
    """The proofs in the tree of 7 leaves are those that RFC 6962 section 2.1.3 draws."""
    assert inclusion_ranges(0, 7) == [(1, 2), (2, 4), (4, 7)]
    assert inclusion_ranges(3, 7) == [(2, 3), (0, 2), (4, 7)]
    assert inclusion_ranges(4, 7) == [(5, 6), (6, 7), (0, 4)]
    assert inclusion_ranges(6, 7) == [(4, 6), (0, 4)]
    assert consistency_ranges(3, 7) == [(2, 3), (3, 4), (0, 2), (4, 7)]
    assert consistency_ranges(4, 7) == [(4, 7)]
    assert consistency_ranges(6, 7) == [(4, 6), (6, 7), (0, 4)]


@given(SIZES)
def test_perfect_subtrees_cover_a_tree(size: int) -> None:
    """A tree consists of one perfect subtree for each bit of its size, side by side."""
    subtrees = perfect_subtrees(0, size)
    assert len(subtrees) == size.bit_count()
    end = 0
    for height, index in subtrees:
        assert index << height == end
        end += 1 << height
    assert end == size


@given(SIZES, st.data())
def test_inclusion_ranges_and_the_leaf_cover_the_tree(size: int, data: st.DataObject) -> None:
    """A proof's ranges and its leaf are the whole tree, each leaf once, and no more than 63 ranges."""
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    ranges = inclusion_ranges(index, size)
    assert len(ranges) <= 63
    covered = sorted([*ranges, (index, index + 1)])
    assert covered[0][0] == 0
    assert covered[-1][1] == size
    assert all(left[1] == right[0] for left, right in pairwise(covered))


@given(SIZES, st.data())
def test_consistency_ranges_end_at_the_old_size(new_size: int, data: st.DataObject) -> None:
    """No range of a proof lies across the old tree's end, and no proof is longer than 64."""
    old_size = data.draw(st.integers(min_value=0, max_value=new_size))
    ranges = consistency_ranges(old_size, new_size)
    assert len(ranges) <= 64
    assert all(end <= old_size or start >= old_size for start, end in ranges)
