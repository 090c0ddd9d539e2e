"""The Merkle tree of RFC 6962 over SHA-256: its hashes, and the verification of its two proofs.

A tree of size n has the leaves 0 to n-1. An inclusion proof shows that a leaf is in a tree, a consistency proof that a
smaller tree is the beginning of a larger one. Everything is bytes: hashes and roots are 32 bytes, a proof is a sequence
of hashes in the order of RFC 6962 section 2.1.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from latchstring.protocol.c2sp_text import MAX_NUMBER

HASH_BYTES: Final = 32
MAX_TREE_SIZE: Final = MAX_NUMBER
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""The root of the tree without leaves."""

_LEAF_PREFIX: Final = b"\x00"
_NODE_PREFIX: Final = b"\x01"


class ProofError(ValueError):
    """A proof that does not show what it should."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf that holds ``entry`` (RFC 6962 section 2.1)."""
    return hashlib.sha256(_LEAF_PREFIX + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node over its two children's hashes (RFC 6962 section 2.1)."""
    return hashlib.sha256(_NODE_PREFIX + left + right).digest()


def verify_inclusion(*, index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf with hash ``leaf`` is number ``index`` in the tree of ``size`` leaves with ``root``.

    1. The index lies in the tree, and every hash has 32 bytes.
    2. Climb from the leaf with the proof's hashes as siblings: exactly to the root, no lower and no higher.
    3. The hash found there is ``root``.

    The algorithm is that of RFC 9162 section 2.1.3.2.

    Raises:
        ProofError: a step failed.
    """
    # 1.
    if not 0 <= index < size <= MAX_TREE_SIZE:
        raise ProofError("the index is not in the tree")
    _require_hashes(leaf, root, *proof)
    # 2.
    current = leaf
    for sibling, on_the_left in _climb(index, size - 1, proof):
        current = node_hash(sibling, current) if on_the_left else node_hash(current, sibling)
    # 3.
    if current != root:
        raise ProofError("the inclusion proof does not lead to the root")


def verify_consistency(
    *, old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of ``old_size`` leaves with ``old_root`` is the beginning of the new one.

    Strict: nothing can be proven about an empty old tree, so ``old_size`` 0 is refused. A witness that sees a log for
    the first time uses :func:`verify_consistency_for_witness`.

    1. 0 < ``old_size`` <= ``new_size``, and every hash has 32 bytes.
    2. Equal sizes need equal roots and an empty proof.
    3. Otherwise start at the perfect subtree that ends the old tree. Its hash is the proof's first, or the old root
       when the whole old tree is perfect.
    4. Climb with the other hashes as siblings, exactly to the new root, no lower and no higher. A sibling on the left
       belongs to both trees, one on the right to the new tree only.
    5. The hashes found there are ``old_root`` and ``new_root``.

    The algorithm is that of RFC 9162 section 2.1.4.2.

    Raises:
        ProofError: a step failed.
    """
    # 1.
    if not 0 < old_size <= new_size <= MAX_TREE_SIZE:
        raise ProofError("consistency runs from a tree that is not empty to one at least as large")
    _require_hashes(old_root, new_root, *proof)
    # 2.
    if old_size == new_size:
        _require_same_tree(old_root, new_root, proof)
        return
    # 3.
    if not proof:
        raise ProofError("the consistency proof is empty")
    start, *siblings = (old_root, *proof) if old_size.bit_count() == 1 else proof
    node, last = _skip_right_children(old_size - 1, new_size - 1)
    # 4.
    old = new = start
    for sibling, on_the_left in _climb(node, last, siblings):
        if on_the_left:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    # 5.
    if old != old_root:
        raise ProofError("the consistency proof does not lead to the old root")
    if new != new_root:
        raise ProofError("the consistency proof does not lead to the new root")


def verify_consistency_for_witness(
    *, old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check consistency as a witness does, which may not have seen the log before (C2SP tlog-witness).

    1. Any old size but 0 is :func:`verify_consistency`'s.
    2. An empty tree, old or new, has :data:`EMPTY_ROOT` as its root.
    3. Every tree continues the empty one, so there is nothing to prove: the proof must be empty.

    Raises:
        ProofError: a step failed.
    """
    # 1.
    if old_size != 0:
        verify_consistency(old_size=old_size, old_root=old_root, new_size=new_size, new_root=new_root, proof=proof)
        return
    # 2.
    if not 0 <= new_size <= MAX_TREE_SIZE:
        raise ProofError("the new size is out of range")
    _require_hashes(old_root, new_root)
    if old_root != EMPTY_ROOT or (new_size == 0 and new_root != EMPTY_ROOT):
        raise ProofError("an empty tree has another root")
    # 3.
    if proof:
        raise ProofError("the consistency proof from an empty tree is not empty")


def _require_hashes(*hashes: bytes) -> None:
    if any(len(value) != HASH_BYTES for value in hashes):
        raise ProofError(f"a hash does not have {HASH_BYTES} bytes")


def _require_same_tree(old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise ProofError("the consistency proof between equal sizes is not empty")
    if old_root != new_root:
        raise ProofError("there are two different roots for one size")


def _climb(node: int, last: int, siblings: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Walk from ``node`` to the root of a tree, and say of each sibling on the way whether it lies on the left.

    ``node`` and ``last`` are the indexes, at one level, of where the walk is and of the level's last node.

    Raises:
        ProofError: there are siblings left at the root, or too few to get there.
    """
    for sibling in siblings:
        if last == 0:
            raise ProofError("the proof is too long")
        on_the_left = bool(node & 1) or node == last
        yield sibling, on_the_left
        if on_the_left:
            # A last node that is a left child has no sibling: it rises to where it is a right child.
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
    if last != 0:
        raise ProofError("the proof is too short")


def _skip_right_children(node: int, last: int) -> tuple[int, int]:
    """Climb while ``node`` is a right child: to the top of the largest perfect subtree that it ends."""
    while node & 1:
        node, last = node >> 1, last >> 1
    return node, last
