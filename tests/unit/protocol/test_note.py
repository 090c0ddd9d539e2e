"""Signed notes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    NoteFormatError,
    NoteSignature,
    NoteUntrustedError,
    SignedNote,
    parse_signature_line,
    parse_signed_note,
    sign_note,
    verify_note,
)
from latchstring.protocol.note_keys import NoteError, NoteSignatureError, parse_verifier_key
from note_signers import TestSigner
from vectors import load_vectors, needs_vectors

ALICE, BOB, CAROL = TestSigner("alice.example"), TestSigner("bob.example/log"), TestSigner("carol.example")
TEXT = "first line\n\nanother — paragraph\n"

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.just("\n"), max_size=60).map(
    lambda text: text + "\n"
)


@needs_vectors
def test_notes_of_others_verify() -> None:
    """The notes of C2SP, transparency-dev and torchwood verify, and are written back as they were."""
    for vector in load_vectors("notes/checkpoints.json"):
        data = vector["note"].encode()
        note = parse_signed_note(data)
        verified = verify_note(note, [parse_verifier_key(vkey) for vkey in vector["vkeys"]])
        assert len(verified.signatures) == len(vector["vkeys"])
        assert note.encode() == data


@needs_vectors
def test_notes_of_others_with_a_bit_changed_do_not_verify() -> None:
    """Any bit changed in a third party's note makes it malformed, untrusted or wrongly signed."""
    vector = load_vectors("notes/checkpoints.json")[0]
    data, keys = vector["note"].encode(), [parse_verifier_key(vkey) for vkey in vector["vkeys"]]
    for bit in range(len(data) * 8):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(NoteError):
            verify_note(parse_signed_note(bytes(broken)), keys)


@given(TEXTS)
def test_a_note_is_signed_read_and_verified(text: str) -> None:
    """Any text that a note can have comes back whole, with every signature on it."""
    data = sign_note(text, ALICE, BOB).encode()
    verified = verify_note(parse_signed_note(data), [BOB.key, ALICE.key])
    assert verified.text == text
    assert [found.key for found in verified.signatures] == [ALICE.key, BOB.key]


@given(st.one_of(st.binary(), st.text().map(str.encode), TEXTS.map(lambda text: f"{text}\n— a AAAAAAAA\n".encode())))
def test_garbage_is_refused_or_written_back(data: bytes) -> None:
    """Garbage is refused, by nothing but NoteFormatError, or is the very bytes of the note that it is read as."""
    try:
        note = parse_signed_note(data)
    except NoteFormatError:
        return
    assert note.encode() == data
    with pytest.raises(NoteUntrustedError):
        verify_note(note, [ALICE.key])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\n\n",
        b"text\n\n\xe2\x80\x94 a AAAAAAAA",
        b"text\n\n- a AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94  AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 a b AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 a+b AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 a AAAAAA==\n",
        b"text\n\n\xe2\x80\x94 a AAAAAAB=\n",
        b"text\n\n\xe2\x80\x94 a\x01 AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 a AAAAAAAA\nmore\n",
        b"text\r\n\n\xe2\x80\x94 a AAAAAAAA\n",
        b"te\txt\n\n\xe2\x80\x94 a AAAAAAAA\n",
        b"te\xffxt\n\n\xe2\x80\x94 a AAAAAAAA\n",
        b"te\xed\xa0\x80xt\n\n\xe2\x80\x94 a AAAAAAAA\n",
    ],
)
def test_what_is_no_note_is_refused(data: bytes) -> None:
    """Each way to be malformed is refused."""
    with pytest.raises(NoteFormatError):
        parse_signed_note(data)


@pytest.mark.parametrize("text", ["", "no newline", "a\tb\n", "a\r\n", "a\x00\n", "\ud800\n"])
def test_a_text_that_no_note_has_is_not_signed(text: str) -> None:
    """A text without its newline, or with control characters or lone surrogates, is never given to a key."""
    with pytest.raises(NoteFormatError):
        sign_note(text, ALICE)


def test_a_note_needs_a_signer() -> None:
    """A note without a signature is not made."""
    with pytest.raises(NoteFormatError):
        sign_note(TEXT)


def test_unknown_keys_are_ignored() -> None:
    """Signatures by keys that share a name or an ID with a known key, but not both, are passed over."""
    same_name = NoteSignature(ALICE.name, BOB.key_id, b"x" * 64)
    same_id = NoteSignature("mallory.example", ALICE.key_id, b"x" * 64)
    other_type = NoteSignature("quantum.example", b"\x01\x02\x03\x04", b"x" * 2428)
    note = sign_note(TEXT, ALICE).with_signatures(same_name, same_id, other_type)
    verified = verify_note(parse_signed_note(note.encode()), [ALICE.key])
    assert [found.key for found in verified.signatures] == [ALICE.key]


def test_a_bad_signature_by_a_known_key_rejects_the_note() -> None:
    """One wrong signature in a known key's name outweighs any number of right ones, wherever it stands."""
    wrong = NoteSignature(BOB.name, BOB.key_id, ALICE.sign(TEXT.encode()))
    right = sign_note(TEXT, ALICE, CAROL, BOB).signatures
    for place in range(4):
        note = SignedNote(TEXT, (*right[:place], wrong, *right[place:]))
        with pytest.raises(NoteSignatureError):
            verify_note(note, [ALICE.key, BOB.key, CAROL.key])
        assert len(verify_note(note, [ALICE.key, CAROL.key]).signatures) == 2


def test_a_note_by_no_known_key_is_untrusted() -> None:
    """Without a known signer a note is refused, also when no key is known at all."""
    note = sign_note(TEXT, ALICE)
    for keys in ([], [BOB.key]):
        with pytest.raises(NoteUntrustedError):
            verify_note(note, keys)


def test_another_text_is_refused() -> None:
    """Signatures do not carry over to another text."""
    note = sign_note(TEXT, ALICE)
    with pytest.raises(NoteSignatureError):
        verify_note(SignedNote(TEXT + "more\n", note.signatures), [ALICE.key])


def test_signatures_are_added_once() -> None:
    """Adding lines keeps their order and repeats none."""
    note = sign_note(TEXT, ALICE)
    (second,) = sign_note(TEXT, BOB).signatures
    both = note.with_signatures(second, second, *note.signatures)
    assert both.signatures == (*note.signatures, second)
    assert both.with_signatures(second) == both


def test_a_signature_line_is_read_back() -> None:
    """A line that was taken from a note is read as the signature that it was."""
    (signature,) = sign_note(TEXT, ALICE).signatures
    assert parse_signature_line(signature.line().removesuffix("\n")) == signature
    for line in (signature.line(), signature.line() * 2, "", "— alice.example", "alice.example AAAAAAAA"):
        with pytest.raises(NoteFormatError):
            parse_signature_line(line)


def test_limits() -> None:
    """100 signatures are read, more are refused, and so is a note that is too long."""
    line = "— a.example AAAAAAAA\n"
    assert len(parse_signed_note(f"text\n\n{line * MAX_SIGNATURES}".encode()).signatures) == MAX_SIGNATURES
    with pytest.raises(NoteFormatError):
        parse_signed_note(f"text\n\n{line * (MAX_SIGNATURES + 1)}".encode())
    with pytest.raises(NoteFormatError):
        parse_signed_note(b"x" * MAX_NOTE_BYTES + f"\n\n{line}".encode())
