r"""Verifier keys of signed notes (C2SP signed-note, tlog-cosignature): a name, a type and a public key.

A key's ID is ``SHA-256(name ‖ 0A ‖ type ‖ public key)[:4]``. Its text, the *vkey*, is
``name+hex(ID)+base64(type ‖ public key)``. The type says what is signed and how, so one public key under two types is
two keys:

- ``01``, Ed25519: the signature of the note's text.
- ``04``, cosignature: ``u64 POSIX time ‖ Ed25519 signature`` of ``cosignature/v1\ntime <time>\n`` and the note's text.

Errors: :class:`NoteKeyError` for what can be no key, :class:`NoteSignatureError` (a :class:`NoteError`) for a signature
that does not hold.
"""

import hashlib
import re
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from latchstring.protocol.c2sp_text import MAX_NUMBER, decode_base64, encode_base64

KEY_ID_BYTES: Final = 4
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_NOT_IN_NAME = re.compile(r"[\s+\x00-\x1f\ud800-\udfff]")
_COSIGNATURE = struct.Struct(f">Q{SIGNATURE_BYTES}s")


class NoteKeyError(ValueError):
    """A name or a verifier key that is malformed, or of a type that is not supported."""


class NoteError(ValueError):
    """A signed note that is not to be believed."""


class NoteSignatureError(NoteError):
    """A signature in the name of a known key that is not that key's."""


class KeyType(IntEnum):
    """What a key signs and how: the byte that C2SP assigned to it."""

    ED25519 = 0x01
    COSIGNATURE = 0x04


def check_key_name(name: str) -> None:
    """Check that ``name`` can name a key: not empty, and without spaces, control characters and ``+``.

    Raises:
        NoteKeyError: it cannot.
    """
    if not name or _NOT_IN_NAME.search(name):
        raise NoteKeyError(f"{name[:80]!r} cannot name a key; it must not be empty, nor have spaces or '+'")


def compute_key_id(name: str, key_type: KeyType, public_key: bytes) -> bytes:
    """Return the 4-byte ID of a key (C2SP signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([key_type]) + public_key).digest()[:KEY_ID_BYTES]


def cosignature_message(text: str, *, timestamp: int) -> bytes:
    """Return what a key of type 04 signs at ``timestamp`` (POSIX seconds) for the checkpoint whose text is ``text``."""
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()


def encode_cosignature(timestamp: int, signature: bytes) -> bytes:
    """Return the time and the Ed25519 signature as a signature of type 04 has them.

    Raises:
        ValueError: the time is not positive, or too large; the signature does not have 64 bytes.
    """
    if not 0 < timestamp <= MAX_NUMBER:
        raise ValueError("the time of a cosignature is out of range")
    if len(signature) != SIGNATURE_BYTES:
        raise ValueError(f"an Ed25519 signature has {SIGNATURE_BYTES} bytes")
    return _COSIGNATURE.pack(timestamp, signature)


def decode_cosignature(payload: bytes) -> tuple[int, bytes]:
    """Return the time (POSIX seconds) and the Ed25519 signature in a signature of type 04, unverified.

    Raises:
        NoteSignatureError: it has another length, or its time is 0 or too large.
    """
    if len(payload) != _COSIGNATURE.size:
        raise NoteSignatureError("a cosignature has another length")
    timestamp, signature = _COSIGNATURE.unpack(payload)
    if not 0 < timestamp <= MAX_NUMBER:
        raise NoteSignatureError("the time of a cosignature is out of range")
    return timestamp, signature


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key that signs notes under a name.

    Raises:
        NoteKeyError: the name cannot name a key, or the public key does not have 32 bytes.
    """

    name: str
    key_type: KeyType
    public_key: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.public_key) != PUBLIC_KEY_BYTES:
            raise NoteKeyError(f"an Ed25519 public key has {PUBLIC_KEY_BYTES} bytes")

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that stand for the key in a signature line."""
        return compute_key_id(self.name, self.key_type, self.public_key)

    def vkey(self) -> str:
        """Return the key as text, as :func:`parse_verifier_key` reads it."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.key_type]) + self.public_key)}"

    def verify(self, text: str, payload: bytes) -> None:
        """Check that ``payload``, of a signature line with this key's name and ID, signs the note's ``text``.

        Raises:
            NoteSignatureError: it does not.
        """
        match self.key_type:
            case KeyType.ED25519:
                message, signature = text.encode(), payload
            case KeyType.COSIGNATURE:
                timestamp, signature = decode_cosignature(payload)
                message = cosignature_message(text, timestamp=timestamp)
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except InvalidSignature as error:
            raise NoteSignatureError(f"the signature in the name of {self.name} is not by its key") from error


def parse_verifier_key(vkey: str) -> VerifierKey:
    """Return the key that a vkey describes.

    Raises:
        NoteKeyError: it is malformed, of a type that is not supported, or its ID is not that of its key.
    """
    name, _, rest = vkey.partition("+")
    key_id, separator, material = rest.partition("+")
    try:
        data = decode_base64(material)
    except ValueError as error:
        raise NoteKeyError("a verifier key looks like name+ID+base64") from error
    if not separator or not data:
        raise NoteKeyError("a verifier key looks like name+ID+base64")
    try:
        key_type = KeyType(data[0])
    except ValueError as error:
        raise NoteKeyError(f"keys of type {data[0]:#04x} are not supported") from error
    key = VerifierKey(name, key_type, data[1:])
    if key.key_id.hex() != key_id:
        raise NoteKeyError("the ID in the verifier key is not that of its key")
    return key
