"""Verifier keys of signed notes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.c2sp_text import encode_base64
from latchstring.protocol.note_keys import (
    KeyType,
    NoteKeyError,
    NoteSignatureError,
    VerifierKey,
    compute_key_id,
    cosignature_message,
    decode_cosignature,
    encode_cosignature,
    parse_verifier_key,
)
from note_signers import TestSigner
from vectors import load_vectors, needs_vectors

NAME = "support.example.test/audit/cus-aaaaaaaaaaaaaaaa"


@needs_vectors
def test_vkeys_of_others_are_read() -> None:
    """The keys of C2SP, transparency-dev and torchwood are read, and written back as they were."""
    for vector in load_vectors("notes/checkpoints.json"):
        for vkey in vector["vkeys"]:
            key = parse_verifier_key(vkey)
            assert key.vkey() == vkey
            assert key.key_type is KeyType.ED25519


@given(st.sampled_from(KeyType), st.binary(min_size=32, max_size=32))
def test_a_vkey_is_read_back(key_type: KeyType, public_key: bytes) -> None:
    """A key that was written as text is read as the same key."""
    key = VerifierKey(NAME, key_type, public_key)
    assert parse_verifier_key(key.vkey()) == key


@given(st.one_of(st.text(), st.from_regex(r"\A[a-z +]{0,4}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{0,48}={0,2}\Z")))
def test_garbage_is_no_vkey(text: str) -> None:
    """Garbage is refused as a key, and by nothing but NoteKeyError."""
    with pytest.raises(NoteKeyError):
        parse_verifier_key(text)


def test_a_vkey_with_another_part_changed_is_refused() -> None:
    """A name, ID, type or key that does not fit the others is refused."""
    key = TestSigner(NAME).key
    name, key_id, material = key.vkey().split("+", 2)
    unsupported = encode_base64(b"\x06" + key.public_key)
    for broken in (
        f"{name}x+{key_id}+{material}",
        f"{name}+{key_id.upper()}+{material}",
        f"{name}+00000000+{material}",
        f"{name}+{key_id}+{encode_base64(bytes([4]) + key.public_key)}",
        f"{name}+{key_id}+{encode_base64(bytes([1]) + key.public_key[:31])}",
        f"{name}+{key_id}+{unsupported}",
        f"{name}+{key_id}",
        f"{name}+{key_id}+",
    ):
        with pytest.raises(NoteKeyError):
            parse_verifier_key(broken)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b", "a\u2003b", "a\x01b", "a\ud800b"])
def test_what_cannot_name_a_key(name: str) -> None:
    """Nothing, spaces of any alphabet, plus signs, control characters and lone surrogates name no key."""
    with pytest.raises(NoteKeyError):
        VerifierKey(name, KeyType.ED25519, b"\x00" * 32)


def test_the_type_makes_another_key() -> None:
    """One public key under two types has two IDs, and neither verifies what the other signs."""
    log, witness = TestSigner(NAME), TestSigner(NAME, KeyType.COSIGNATURE)
    assert log.key.public_key == witness.key.public_key
    assert log.key_id != witness.key_id
    assert log.key_id == compute_key_id(NAME, KeyType.ED25519, log.key.public_key)
    signature = log.sign(b"text\n")
    log.key.verify("text\n", signature)
    cosignature = encode_cosignature(7, log.sign(cosignature_message("text\n", timestamp=7)))
    witness.key.verify("text\n", cosignature)
    for key, payload in (
        (log.key, cosignature),
        (witness.key, signature),
        (witness.key, encode_cosignature(7, signature)),
    ):
        with pytest.raises(NoteSignatureError):
            key.verify("text\n", payload)


@given(st.binary(max_size=80))
def test_garbage_is_no_signature(payload: bytes) -> None:
    """Garbage is refused as a signature of any type, and by nothing but NoteSignatureError."""
    for key_type in KeyType:
        with pytest.raises(NoteSignatureError):
            TestSigner(NAME, key_type).key.verify("text\n", payload)


def test_the_time_of_a_cosignature_is_signed_and_in_range() -> None:
    """Another time breaks a cosignature; time 0 and times beyond 63 bits are neither written nor read."""
    witness = TestSigner("witness.example", KeyType.COSIGNATURE)
    signature = witness.sign(cosignature_message("text\n", timestamp=1_790_000_000))
    payload = encode_cosignature(1_790_000_000, signature)
    assert decode_cosignature(payload) == (1_790_000_000, signature)
    with pytest.raises(NoteSignatureError):
        witness.key.verify("text\n", encode_cosignature(1_790_000_001, signature))
    for timestamp in (0, -1, 2**63):
        with pytest.raises(ValueError, match="time"):
            encode_cosignature(timestamp, signature)
    with pytest.raises(ValueError, match="64 bytes"):
        encode_cosignature(1, signature[:-1])
    for head in (b"\x00" * 8, b"\xff" * 8):
        with pytest.raises(NoteSignatureError, match="time"):
            decode_cosignature(head + signature)


def test_a_public_key_that_is_no_point_verifies_nothing() -> None:
    """A 32-byte value that is no Ed25519 public key refuses every signature, without another error."""
    for value in (b"\xff" * 32, b"\x00" * 32, b"\x02" + b"\x00" * 31):
        with pytest.raises(NoteSignatureError):
            VerifierKey(NAME, KeyType.ED25519, value).verify("text\n", b"\x01" * 64)
