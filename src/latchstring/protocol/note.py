"""Signed notes (C2SP signed-note): text, a blank line, and one or more lines ``— <name> base64(key ID ‖ signature)``.

The text is UTF-8 without control characters, and ends in a newline. Its last blank line is the one before the
signatures. Nothing in a note may be used before :func:`verify_note`.

::

    NoteError
    ├── NoteFormatError      not a signed note (a witness answers 400)
    ├── NoteSignatureError   a known key's signature does not hold (403)
    └── NoteUntrustedError   no known key signed it (403)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from latchstring.protocol.c2sp_text import decode_base64, encode_base64
from latchstring.protocol.note_keys import KEY_ID_BYTES, NoteError, NoteKeyError, VerifierKey, check_key_name

MAX_NOTE_BYTES: Final = 512 * 1024
"""Room for 100 signatures of ML-DSA-44."""
MAX_SIGNATURES: Final = 100

_DASH: Final = "\N{EM DASH} "
_FIRST_PRINTABLE: Final = " "


class NoteFormatError(NoteError):
    """Text or bytes that are no signed note."""


class NoteUntrustedError(NoteError):
    """A note that no known key signed."""


class NoteSigner(Protocol):
    """Signs notes with a private key that stays where it is."""

    @property
    def name(self) -> str:
        """The key's name."""

    @property
    def key_id(self) -> bytes:
        """The key's 4-byte ID (:func:`~latchstring.protocol.note_keys.compute_key_id`)."""

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature over ``message``."""


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line. ``payload`` is the signature in the form of its key's type.

    Raises:
        NoteFormatError: the name or the ID cannot be those of a key, or the payload is empty.
    """

    name: str
    key_id: bytes
    payload: bytes = field(repr=False)

    def __post_init__(self) -> None:
        try:
            check_key_name(self.name)
        except NoteKeyError as error:
            raise NoteFormatError(str(error)) from error
        if len(self.key_id) != KEY_ID_BYTES or not self.payload:
            raise NoteFormatError("a signature is empty or its key ID does not have 4 bytes")

    def line(self) -> str:
        """Return the signature as its line in a note, with the newline."""
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.payload)}\n"


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A note as it travels. Neither its text nor its signatures are verified.

    Raises:
        NoteFormatError: the text can be no note's, or there are no signatures, or too many.
    """

    unverified_text: str
    signatures: tuple[NoteSignature, ...]

    def __post_init__(self) -> None:
        check_note_text(self.unverified_text)
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise NoteFormatError(f"a note has 1 to {MAX_SIGNATURES} signatures, not {len(self.signatures)}")

    def encode(self) -> bytes:
        """Return the note's bytes, as :func:`parse_signed_note` reads them."""
        return f"{self.unverified_text}\n{''.join(signature.line() for signature in self.signatures)}".encode()

    def with_signatures(self, *added: NoteSignature) -> "SignedNote":
        """Return the note with more signature lines after its own. Lines that it has already are not repeated."""
        fresh = tuple(signature for signature in dict.fromkeys(added) if signature not in self.signatures)
        return replace(self, signatures=self.signatures + fresh)


@dataclass(frozen=True, slots=True)
class VerifiedSignature:
    """A signature that holds, and the key that made it."""

    key: VerifierKey
    signature: NoteSignature


@dataclass(frozen=True, slots=True)
class VerifiedNote:
    """A note's text, and those of its signatures that are by known keys: at least one, and all of them hold."""

    text: str
    signatures: tuple[VerifiedSignature, ...]


def check_note_text(text: str) -> None:
    """Check that ``text`` can be signed as a note.

    Raises:
        NoteFormatError: it does not end in a newline, or has control characters or lone surrogates.
    """
    if not text.endswith("\n"):
        raise NoteFormatError("a note's text ends in a newline")
    if any(character < _FIRST_PRINTABLE and character != "\n" for character in text):
        raise NoteFormatError("a note has no control characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NoteFormatError("a note is UTF-8") from error


def sign_note(text: str, *signers: NoteSigner) -> SignedNote:
    """Sign ``text`` with keys of type Ed25519, one or more.

    Raises:
        NoteFormatError: the text can be no note's, or a signer's name no key's.
    """
    check_note_text(text)
    signatures = tuple(NoteSignature(signer.name, signer.key_id, signer.sign(text.encode())) for signer in signers)
    return SignedNote(text, signatures)


def parse_signed_note(data: bytes) -> SignedNote:
    """Return the note in ``data``, unverified.

    Raises:
        NoteFormatError: it is none.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise NoteFormatError(f"a note has at most {MAX_NOTE_BYTES} bytes")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NoteFormatError("a note is UTF-8") from error
    text, separator, tail = whole.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise NoteFormatError("a note ends in a blank line and signature lines")
    lines = tail.removesuffix("\n").split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteFormatError(f"a note has at most {MAX_SIGNATURES} signatures")
    return SignedNote(text + "\n", tuple(parse_signature_line(line) for line in lines))


def parse_signature_line(line: str) -> NoteSignature:
    """Return the signature in one line of a note, given without its newline. Unverified.

    Raises:
        NoteFormatError: it is no signature line.
    """
    name, separator, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not separator:
        raise NoteFormatError("a signature line looks like '— name base64'")
    try:
        blob = decode_base64(encoded)
    except ValueError as error:
        raise NoteFormatError("a signature is not base64") from error
    return NoteSignature(name, blob[:KEY_ID_BYTES], blob[KEY_ID_BYTES:])


def verify_note(note: SignedNote, keys: Sequence[VerifierKey]) -> VerifiedNote:
    """Check a note against the keys that the caller trusts (C2SP signed-note, "Signatures").

    1. A signature line whose name and key ID are not both those of one of ``keys`` is ignored.
    2. Every other signature must hold; one that does not makes the whole note invalid.
    3. At least one is left.

    Raises:
        NoteSignatureError: step 2 failed.
        NoteUntrustedError: step 3 failed.
    """
    known = {(key.name, key.key_id): key for key in keys}
    verified: list[VerifiedSignature] = []
    for signature in note.signatures:
        # 1.
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        # 2.
        key.verify(note.unverified_text, signature.payload)
        verified.append(VerifiedSignature(key, signature))
    # 3.
    if not verified:
        raise NoteUntrustedError("the note is not signed by a known key")
    return VerifiedNote(note.unverified_text, tuple(verified))
