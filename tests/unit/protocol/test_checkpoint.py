"""Checkpoints and cosignatures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.checkpoint import (
    Checkpoint,
    CheckpointError,
    cosign_checkpoint,
    parse_checkpoint_text,
    sign_checkpoint,
    verify_checkpoint,
)
from latchstring.protocol.merkle import EMPTY_ROOT, MAX_TREE_SIZE, leaf_hash
from latchstring.protocol.note import NoteFormatError, NoteUntrustedError, parse_signed_note, sign_note
from latchstring.protocol.note_keys import KeyType, NoteError, NoteSignatureError, parse_verifier_key
from note_signers import TestSigner
from vectors import load_vectors, needs_vectors

ORIGIN = "support.example.test/audit/cus-aaaaaaaaaaaaaaaa"
LOG = TestSigner(ORIGIN)
WITNESS = TestSigner("ept-aaaaaaaaaaaaaaaa.example", KeyType.COSIGNATURE)
OTHER_WITNESS = TestSigner("ept-bbbbbbbbbbbbbbbb.example", KeyType.COSIGNATURE)
CHECKPOINT = Checkpoint(ORIGIN, 42, leaf_hash(b"root"))
TIME = 1_790_000_000
ORIGINS = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="+"), min_size=1, max_size=60
)


def cosigned(*witnesses: TestSigner) -> bytes:
    """Return the checkpoint as its log signed it, with the cosignatures of the witnesses."""
    signed = sign_checkpoint(CHECKPOINT, LOG)
    verified = verify_checkpoint(signed.encode(), origin=ORIGIN, log_key=LOG.key)
    lines = (cosign_checkpoint(verified, witness, timestamp=TIME) for witness in witnesses)
    return signed.with_signatures(*lines).encode()


@needs_vectors
def test_checkpoints_of_others_verify() -> None:
    """Third parties' checkpoints verify with their keys, and their texts are written back as they were."""
    checkpoints = [vector for vector in load_vectors("notes/checkpoints.json") if vector["name"].startswith("monkeys")]
    assert checkpoints
    for vector in checkpoints:
        verified = verify_checkpoint(
            vector["note"].encode(), origin="monkeys", log_key=parse_verifier_key(vector["vkeys"][0])
        )
        assert vector["name"] == f"monkeys @{verified.checkpoint.size}"
        assert vector["note"].startswith(verified.checkpoint.text())


@needs_vectors
def test_tree_notes_of_the_go_checksum_database() -> None:
    """Go's tree note is written and read as Go does, and its bad ones are refused."""
    vectors = load_vectors("tlog/x_mod_tlog.json")
    tree = vectors["format_tree"]
    origin = tree["text"].partition("\n")[0]
    checkpoint = Checkpoint(origin, tree["size"], leaf_hash(tree["hash_is_leaf_hash_of"].encode()))
    assert checkpoint.text() == tree["text"]
    assert parse_checkpoint_text(tree["text"]) == checkpoint
    for text in vectors["bad_trees"]:
        with pytest.raises(CheckpointError):
            parse_checkpoint_text(text)


@given(ORIGINS, st.integers(min_value=1, max_value=MAX_TREE_SIZE), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_is_signed_read_and_verified(origin: str, size: int, root: bytes) -> None:
    """What a log signed is what a verifier gets."""
    log, checkpoint = TestSigner(origin), Checkpoint(origin, size, root)
    verified = verify_checkpoint(sign_checkpoint(checkpoint, log).encode(), origin=origin, log_key=log.key)
    assert verified.checkpoint == checkpoint
    assert verified.cosignatures == ()


@given(st.one_of(st.text(), st.from_regex(r"\A[a-z ]{0,3}\n[0-9]{0,3}\n[A-Za-z0-9+/]{0,43}=?\n?.?\Z")))
def test_garbage_is_refused_or_written_back(text: str) -> None:
    """Garbage is refused, by nothing but CheckpointError, or is the very text of the checkpoint that it is read as."""
    try:
        checkpoint = parse_checkpoint_text(text)
    except CheckpointError:
        return
    assert checkpoint.text() == text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"{ORIGIN}\n", "\n"),
        (f"{ORIGIN}\n", ""),
        ("\n42\n", "\n042\n"),
        ("\n42\n", "\n+42\n"),
        ("\n42\n", "\n-42\n"),
        ("\n42\n", "\n 42\n"),
        ("\n42\n", "\n\n"),
        ("\n42\n", "\n9223372036854775808\n"),
        ("\n42\n", "\n0\n"),
        ("=\n", "\n"),
        ("=\n", "=\nextension line\n"),
        ("=\n", "="),
    ],
)
def test_what_is_no_checkpoint_is_refused(old: str, new: str) -> None:
    """Each way to be malformed is refused, even signed; so are extension lines, and an empty tree with a root."""
    text = CHECKPOINT.text()
    assert old in text
    broken = text.replace(old, new)
    with pytest.raises(CheckpointError):
        parse_checkpoint_text(broken)
    if broken.endswith("\n"):
        with pytest.raises(CheckpointError):
            verify_checkpoint(sign_note(broken, LOG).encode(), origin=ORIGIN, log_key=LOG.key)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [
        ("", 42, CHECKPOINT.root),
        ("two\nlines", 42, CHECKPOINT.root),
        ("x" * 256, 42, CHECKPOINT.root),
        (ORIGIN, -1, CHECKPOINT.root),
        (ORIGIN, MAX_TREE_SIZE + 1, CHECKPOINT.root),
        (ORIGIN, 42, b""),
        (ORIGIN, 42, CHECKPOINT.root + b"\x00"),
    ],
)
def test_a_checkpoint_that_cannot_be_is_not_made(origin: str, size: int, root: bytes) -> None:
    """An origin, size or root out of bounds is refused before anything is signed."""
    with pytest.raises(CheckpointError):
        Checkpoint(origin, size, root)


def test_an_empty_log_has_a_checkpoint() -> None:
    """Size 0 goes with the empty root only."""
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert parse_checkpoint_text(empty.text()) == empty
    with pytest.raises(CheckpointError):
        Checkpoint(ORIGIN, 0, CHECKPOINT.root)


def test_only_its_own_key_signs_for_a_log() -> None:
    """A signer with another name does not sign a log's checkpoint."""
    with pytest.raises(CheckpointError):
        sign_checkpoint(CHECKPOINT, TestSigner("another.example"))


def test_another_origin_is_refused() -> None:
    """A checkpoint with a good signature is refused where another log's is expected."""
    data = sign_checkpoint(CHECKPOINT, LOG).encode()
    with pytest.raises(CheckpointError, match="another log"):
        verify_checkpoint(data, origin=f"{ORIGIN}x", log_key=LOG.key)


def test_cosignatures_are_found_with_their_times() -> None:
    """The cosignatures by known witnesses are returned; those by others are passed over."""
    data = cosigned(WITNESS, OTHER_WITNESS)
    verified = verify_checkpoint(data, origin=ORIGIN, log_key=LOG.key, witnesses=[WITNESS.key])
    assert [(found.witness, found.timestamp) for found in verified.cosignatures] == [(WITNESS.key, TIME)]
    both = verify_checkpoint(data, origin=ORIGIN, log_key=LOG.key, witnesses=[OTHER_WITNESS.key, WITNESS.key])
    assert {found.witness for found in both.cosignatures} == {WITNESS.key, OTHER_WITNESS.key}


def test_a_cosignature_line_has_76_bytes() -> None:
    """A cosignature is key ID, time and signature: the 76 bytes that the specification names."""
    note = parse_signed_note(cosigned(WITNESS))
    line = note.signatures[1]
    assert len(line.key_id + line.payload) == 76
    assert int.from_bytes(line.payload[:8], "big") == TIME


def test_a_witness_does_not_speak_for_the_log() -> None:
    """A checkpoint that only a witness signed is refused, also if the witness's key is taken for the log's."""
    note = parse_signed_note(cosigned(WITNESS))
    alone = f"{note.unverified_text}\n{note.signatures[1].line()}".encode()
    with pytest.raises(CheckpointError, match="its log"):
        verify_checkpoint(alone, origin=ORIGIN, log_key=LOG.key, witnesses=[WITNESS.key])
    with pytest.raises(CheckpointError, match="its log"):
        verify_checkpoint(alone, origin=ORIGIN, log_key=WITNESS.key)
    with pytest.raises(NoteUntrustedError):
        verify_checkpoint(alone, origin=ORIGIN, log_key=LOG.key)


def test_a_cosignature_of_another_checkpoint_is_refused() -> None:
    """A cosignature that was lifted from another size rejects the checkpoint that it is put on."""
    later = sign_checkpoint(Checkpoint(ORIGIN, 43, CHECKPOINT.root), LOG)
    lifted = parse_signed_note(cosigned(WITNESS)).signatures[1]
    data = later.with_signatures(lifted).encode()
    with pytest.raises(NoteSignatureError):
        verify_checkpoint(data, origin=ORIGIN, log_key=LOG.key, witnesses=[WITNESS.key])
    assert verify_checkpoint(data, origin=ORIGIN, log_key=LOG.key).checkpoint.size == 43


@pytest.mark.parametrize("timestamp", [0, -1, 2**63])
def test_a_witness_names_a_time(timestamp: int) -> None:
    """A cosignature without a time that can be is not made."""
    verified = verify_checkpoint(sign_checkpoint(CHECKPOINT, LOG).encode(), origin=ORIGIN, log_key=LOG.key)
    with pytest.raises(ValueError, match="time"):
        cosign_checkpoint(verified, WITNESS, timestamp=timestamp)


def test_every_changed_byte_is_refused_or_ignored_by_rule() -> None:
    """Any byte changed in a cosigned checkpoint makes it refused, or only loses the cosignature's line."""
    data = cosigned(WITNESS)
    for place in range(len(data)):
        broken = bytes([*data[:place], data[place] ^ 0x01, *data[place + 1 :]])
        try:
            verified = verify_checkpoint(broken, origin=ORIGIN, log_key=LOG.key, witnesses=[WITNESS.key])
        except NoteError:
            continue
        assert verified.checkpoint == CHECKPOINT
        assert verified.cosignatures == ()


def test_bytes_that_are_no_note_are_refused() -> None:
    """A checkpoint's text without signatures is no checkpoint."""
    with pytest.raises(NoteFormatError):
        verify_checkpoint(CHECKPOINT.text().encode(), origin=ORIGIN, log_key=LOG.key)
