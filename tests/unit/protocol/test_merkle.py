"""The tree's hashes and the verification of its proofs."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchstring.protocol.merkle import (
    EMPTY_ROOT,
    MAX_TREE_SIZE,
    ProofError,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_consistency_for_witness,
    verify_inclusion,
)
from naive_merkle import NaiveTree
from vectors import load_vectors, needs_vectors, vector_files

TREE = NaiveTree([f"entry {number}".encode() for number in range(130)])
A_HASH = b"\xaa" * 32


def changed_bits(proof: list[bytes], step: int) -> Iterator[list[bytes]]:
    """Yield the proof with one bit changed, for every ``step``-th bit."""
    for bit in range(0, len(proof) * 256, step):
        number, offset = divmod(bit, 256)
        broken = int.from_bytes(proof[number], "big") ^ (1 << offset)
        yield [*proof[:number], broken.to_bytes(32, "big"), *proof[number + 1 :]]


def changed_lengths(proof: list[bytes]) -> Iterator[list[bytes]]:
    """Yield the proof with one hash left out, doubled or put in, at every place."""
    for place in range(len(proof)):
        yield proof[:place] + proof[place + 1 :]
        yield [*proof[: place + 1], *proof[place:]]
    for place in range(len(proof) + 1):
        yield [*proof[:place], A_HASH, *proof[place:]]


def hash_list(values: list[str] | None) -> list[bytes]:
    """Return the hashes of a vector's proof."""
    return [base64.b64decode(value) for value in values or []]


def root_of(vector: dict[str, str], name: str) -> bytes:
    """Return a root; where a vector has ``don't care`` and a number, which is no hash, the hash of that."""
    value = base64.b64decode(vector[name])
    return hashlib.sha256(value).digest() if value.startswith(b"don't care") else value


@needs_vectors
@pytest.mark.parametrize("path", vector_files("merkle/testdata/inclusion/**/*.json"))
def test_inclusion_vectors(path: str) -> None:
    """Each of transparency-dev's inclusion proofs is accepted or refused as they say."""
    vector = load_vectors(path)

    def verify() -> None:
        verify_inclusion(
            index=vector["leafIdx"],
            size=vector["treeSize"],
            leaf=base64.b64decode(vector["leafHash"]),
            proof=hash_list(vector["proof"]),
            root=base64.b64decode(vector["root"]),
        )

    if vector["wantErr"]:
        with pytest.raises(ProofError):
            verify()
    else:
        verify()


@needs_vectors
@pytest.mark.parametrize("path", vector_files("merkle/testdata/consistency/**/*.json"))
def test_consistency_vectors(path: str) -> None:
    """Each of transparency-dev's consistency proofs is accepted or refused as they say, by the strict rule."""
    vector = load_vectors(path)

    def verify() -> None:
        verify_consistency(
            old_size=vector["size1"],
            old_root=root_of(vector, "root1"),
            new_size=vector["size2"],
            new_root=root_of(vector, "root2"),
            proof=hash_list(vector["proof"]),
        )

    if vector["wantErr"]:
        with pytest.raises(ProofError):
            verify()
    else:
        verify()


@needs_vectors
def test_reference_hashes() -> None:
    """Leaves, nodes and roots hash to transparency-dev's reference values."""
    reference = load_vectors("merkle/rfc6962_reference.json")
    leaves = [leaf_hash(bytes.fromhex(entry)) for entry in reference["leaf_inputs_hex"]]
    for level in reference["node_hashes_by_level"]:
        assert [value.hex() for value in leaves] == level
        leaves = [node_hash(leaves[at], leaves[at + 1]) for at in range(0, len(leaves) - 1, 2)]
    hasher = reference["hasher"]
    assert EMPTY_ROOT.hex() == hasher["empty_root"]
    assert leaf_hash(b"").hex() == hasher["leaf_empty"]
    assert leaf_hash(b"L123456").hex() == hasher["leaf_L123456"]
    assert node_hash(b"N123", b"N456").hex() == hasher["node_N123_N456"]


def test_every_inclusion_proof_up_to_130_leaves() -> None:
    """Every leaf of every tree of 1 to 130 leaves is proven by the RFC's own proof."""
    for size in range(1, 131):
        root = TREE.hash(0, size)
        for index in range(size):
            leaf = leaf_hash(TREE.entries[index])
            verify_inclusion(index=index, size=size, leaf=leaf, proof=TREE.path(index, 0, size), root=root)


def test_every_consistency_proof_up_to_130_leaves() -> None:
    """Every pair of trees of 1 to 130 leaves is proven by the RFC's own proof, to a witness too."""
    for new_size in range(1, 131):
        for old_size in range(1, new_size + 1):
            for verify in (verify_consistency, verify_consistency_for_witness):
                verify(
                    old_size=old_size,
                    old_root=TREE.hash(0, old_size),
                    new_size=new_size,
                    new_root=TREE.hash(0, new_size),
                    proof=TREE.proof(old_size, new_size),
                )


@pytest.mark.parametrize(("size", "step"), [(1, 1), (2, 1), (3, 1), (7, 1), (8, 1), (11, 1), (64, 7), (130, 31)])
def test_a_changed_inclusion_proof_is_refused(size: int, step: int) -> None:
    """A proof with any bit changed, or of any other length, proves nothing."""
    root = TREE.hash(0, size)
    for index in range(0, size, max(1, size // 11)):
        leaf, proof = leaf_hash(TREE.entries[index]), TREE.path(index, 0, size)
        for broken in (*changed_bits(proof, step), *changed_lengths(proof)):
            with pytest.raises(ProofError):
                verify_inclusion(index=index, size=size, leaf=leaf, proof=broken, root=root)
        for broken_leaf in changed_bits([leaf], step):
            with pytest.raises(ProofError):
                verify_inclusion(index=index, size=size, leaf=broken_leaf[0], proof=proof, root=root)
        for other in {*range(size)} - {index}:
            with pytest.raises(ProofError):
                verify_inclusion(index=other, size=size, leaf=leaf, proof=proof, root=root)


@pytest.mark.parametrize(("new_size", "step"), [(2, 1), (3, 1), (7, 1), (8, 1), (64, 31), (130, 101)])
def test_a_changed_consistency_proof_is_refused(new_size: int, step: int) -> None:
    """A proof with any bit changed, of any other length, or for other roots, proves nothing."""
    new_root = TREE.hash(0, new_size)
    for old_size in range(1, new_size, max(1, new_size // 11)):
        old_root, proof = TREE.hash(0, old_size), TREE.proof(old_size, new_size)
        sizes = {"old_size": old_size, "new_size": new_size}
        for broken in (*changed_bits(proof, step), *changed_lengths(proof)):
            with pytest.raises(ProofError):
                verify_consistency(**sizes, old_root=old_root, new_root=new_root, proof=broken)
        for old, new in ((A_HASH, new_root), (old_root, A_HASH), (new_root, old_root)):
            with pytest.raises(ProofError):
                verify_consistency(**sizes, old_root=old, new_root=new, proof=proof)


@pytest.mark.parametrize(("old_size", "true_size", "claimed_size"), [(2, 3, 5), (2, 3, 8), (4, 7, 9), (6, 8, 16)])
def test_a_climb_that_ends_below_the_root_is_refused(old_size: int, true_size: int, claimed_size: int) -> None:
    """A sound proof for a smaller tree, whose hashes all come out right, is refused for a larger claimed size."""
    with pytest.raises(ProofError, match="too short"):
        verify_consistency(
            old_size=old_size,
            old_root=TREE.hash(0, old_size),
            new_size=claimed_size,
            new_root=TREE.hash(0, true_size),
            proof=TREE.proof(old_size, true_size),
        )


def test_roots_of_another_length_are_refused() -> None:
    """Equal roots prove nothing if they are no hashes."""
    with pytest.raises(ProofError, match="32 bytes"):
        verify_consistency(old_size=1, old_root=b"short", new_size=1, new_root=b"short", proof=())


def test_nothing_is_proven_about_an_empty_old_tree() -> None:
    """The strict rule refuses old size 0 even where a witness accepts it."""
    first: dict[str, Any] = {
        "old_size": 0,
        "old_root": EMPTY_ROOT,
        "new_size": 3,
        "new_root": TREE.hash(0, 3),
        "proof": (),
    }
    empty: dict[str, Any] = {"old_size": 0, "old_root": EMPTY_ROOT, "new_size": 0, "new_root": EMPTY_ROOT, "proof": ()}
    for trees in (first, empty):
        verify_consistency_for_witness(**trees)
        with pytest.raises(ProofError):
            verify_consistency(**trees)


@pytest.mark.parametrize(
    "change",
    [
        {"proof": (A_HASH,)},
        {"old_root": A_HASH},
        {"new_root": A_HASH, "new_size": 0},
        {"new_root": b""},
        {"new_size": -1},
        {"new_size": MAX_TREE_SIZE + 1},
    ],
)
def test_a_witness_refuses_a_false_beginning(change: dict[str, Any]) -> None:
    """From size 0, a witness wants an empty proof, the empty root, and a new tree that can exist."""
    trees: dict[str, Any] = {
        "old_size": 0,
        "old_root": EMPTY_ROOT,
        "new_size": 3,
        "new_root": TREE.hash(0, 3),
        "proof": (),
    }
    with pytest.raises(ProofError):
        verify_consistency_for_witness(**{**trees, **change})


HASHES = st.one_of(st.binary(max_size=40), st.binary(min_size=32, max_size=32))
SIZES = st.integers(min_value=-2, max_value=2**64)


@settings(deadline=None)
@given(index=SIZES, size=SIZES, leaf=HASHES, proof=st.lists(HASHES, max_size=70), root=HASHES)
def test_garbage_is_no_inclusion_proof(index: int, size: int, leaf: bytes, proof: list[bytes], root: bytes) -> None:
    """Garbage is refused as a proof, and by nothing but ProofError."""
    if leaf == root and not proof and (index, size) == (0, 1):
        return
    with pytest.raises(ProofError):
        verify_inclusion(index=index, size=size, leaf=leaf, proof=proof, root=root)


@settings(deadline=None)
@given(
    old_size=st.integers(min_value=1, max_value=2**64),
    new_size=SIZES,
    old_root=HASHES,
    new_root=HASHES,
    proof=st.lists(HASHES, max_size=70),
)
def test_garbage_is_no_consistency_proof(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: list[bytes]
) -> None:
    """Garbage is refused as a proof, to a witness too, and by nothing but ProofError."""
    if old_root == new_root and not proof:
        return
    with pytest.raises(ProofError):
        verify_consistency_for_witness(
            old_size=old_size, old_root=old_root, new_size=new_size, new_root=new_root, proof=proof
        )
