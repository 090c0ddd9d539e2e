"""Self-contained proofs that an entry is in a log."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.checkpoint import Checkpoint, sign_checkpoint
from latchstring.protocol.tlog_proof import TlogProof, TlogProofError, parse_tlog_proof, verify_tlog_proof
from naive_merkle import NaiveTree
from note_signers import TestSigner
from vectors import load_vectors, needs_vectors

ORIGIN = "support.example.test/audit/operator"
LOG = TestSigner(ORIGIN)
TREE = NaiveTree([f"entry {number}".encode() for number in range(21)])
SIGNED = sign_checkpoint(Checkpoint(ORIGIN, 21, TREE.hash(0, 21)), LOG).encode()
PROOF = TlogProof(13, tuple(TREE.path(13, 0, 21)), SIGNED)


@needs_vectors
def test_malformed_vectors() -> None:
    """The malformed proofs of transparency-dev are refused."""
    for text in load_vectors("tlog/tlog_proof_malformed.json")["malformed"]:
        with pytest.raises(TlogProofError):
            parse_tlog_proof(text.encode())


def test_a_proof_is_read_and_verified() -> None:
    """A proof of an entry comes through its text, with and without extra data, and verifies for that entry."""
    for proof in (PROOF, replace(PROOF, extra=b"\x00 anything"), replace(PROOF, extra=b"")):
        read = parse_tlog_proof(proof.encode())
        assert read == proof
        assert verify_tlog_proof(read, b"entry 13", origin=ORIGIN, log_key=LOG.key).checkpoint.size == 21


def test_what_is_not_proven_is_refused() -> None:
    """Another entry, index, hash, log or signature is refused."""
    broken = {
        "entry": (PROOF, b"entry 12", ORIGIN),
        "index": (replace(PROOF, index=12), b"entry 13", ORIGIN),
        "hashes": (replace(PROOF, hashes=PROOF.hashes[:-1]), b"entry 13", ORIGIN),
        "origin": (PROOF, b"entry 13", "another.example"),
        "checkpoint": (replace(PROOF, unverified_checkpoint=SIGNED.replace(b"\n21\n", b"\n22\n")), b"entry 13", ORIGIN),
        "signature": (replace(PROOF, unverified_checkpoint=SIGNED[:-9] + SIGNED[-1:]), b"entry 13", ORIGIN),
    }
    for proof, entry, origin in broken.values():
        with pytest.raises(TlogProofError):
            verify_tlog_proof(proof, entry, origin=origin, log_key=LOG.key)


@given(
    st.integers(min_value=0, max_value=2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.binary(max_size=80),
    st.none() | st.binary(max_size=80),
)
def test_any_proof_is_read_back(index: int, hashes: list[bytes], checkpoint: bytes, extra: bytes | None) -> None:
    """What a proof's text was made of is what it is read as."""
    proof = TlogProof(index, tuple(hashes), checkpoint, extra)
    assert parse_tlog_proof(proof.encode()) == proof


@given(st.binary(max_size=60), st.integers(min_value=0, max_value=500))
def test_garbage_is_refused_or_written_back(garbage: bytes, place: int) -> None:
    """Garbage put into a proof is refused, by nothing but TlogProofError, or is part of what the text is read as."""
    text = PROOF.encode()
    data = text[:place] + garbage + text[place:]
    try:
        proof = parse_tlog_proof(data)
    except TlogProofError:
        return
    assert proof.encode() == data


@pytest.mark.parametrize("place", range(0, len(PROOF.encode()) - len(SIGNED), 7))
def test_a_proof_that_is_cut_short_is_refused(place: int) -> None:
    """A proof that ends before its checkpoint is refused."""
    with pytest.raises(TlogProofError):
        parse_tlog_proof(PROOF.encode()[:place])


def test_limits() -> None:
    """More than 63 hashes, and a text that is too long, are refused."""
    with pytest.raises(TlogProofError, match="at most"):
        parse_tlog_proof(replace(PROOF, hashes=(b"\x00" * 32,) * 64).encode())
    with pytest.raises(TlogProofError, match="too long"):
        parse_tlog_proof(PROOF.encode() + b"x" * 1_000_000)
