r"""Checkpoints of a log (C2SP tlog-checkpoint), and the cosignatures of its witnesses (C2SP tlog-cosignature).

A checkpoint is a signed note whose text is ``<origin>\n<size>\n<base64 of the root>\n``, with no further lines. The log
signs it with an Ed25519 key that bears the origin's name; witnesses add signatures of type 04, which carry the time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from latchstring.protocol.c2sp_text import decode_base64, encode_base64, parse_decimal
from latchstring.protocol.merkle import EMPTY_ROOT, HASH_BYTES, MAX_TREE_SIZE
from latchstring.protocol.note import NoteSignature, NoteSigner, SignedNote, parse_signed_note, sign_note, verify_note
from latchstring.protocol.note_keys import (
    KeyType,
    NoteError,
    VerifierKey,
    cosignature_message,
    decode_cosignature,
    encode_cosignature,
)

MAX_ORIGIN: Final = 255


class CheckpointError(NoteError):
    """A text that is no checkpoint, or the checkpoint of another log."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's size and root at some time. It claims nothing about who said so: see :class:`VerifiedCheckpoint`.

    Raises:
        CheckpointError: the origin, size or root can be no checkpoint's.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not 1 <= len(self.origin) <= MAX_ORIGIN or not self.origin.isprintable():
            raise CheckpointError(f"an origin has 1 to {MAX_ORIGIN} printable characters")
        if not 0 <= self.size <= MAX_TREE_SIZE:
            raise CheckpointError("the checkpoint's size is out of range")
        if len(self.root) != HASH_BYTES:
            raise CheckpointError(f"the checkpoint's root does not have {HASH_BYTES} bytes")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise CheckpointError("the checkpoint gives an empty tree another root")

    def text(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A witness's statement that this was the log's largest checkpoint at ``timestamp`` (POSIX seconds)."""

    witness: VerifierKey
    timestamp: int


@dataclass(frozen=True, slots=True)
class VerifiedCheckpoint:
    """What :func:`verify_checkpoint` makes: a checkpoint that its log signed, and known witnesses' cosignatures."""

    checkpoint: Checkpoint
    cosignatures: tuple[Cosignature, ...]
    note: SignedNote


def parse_checkpoint_text(text: str) -> Checkpoint:
    """Return the checkpoint in a note's text. Extension lines are refused.

    Raises:
        CheckpointError: it is none.
    """
    match text.split("\n"):
        case [origin, size_line, root_line, ""]:
            try:
                size, root = parse_decimal(size_line), decode_base64(root_line)
            except ValueError as error:
                raise CheckpointError(f"not a checkpoint: {error}") from error
            return Checkpoint(origin, size, root)
        case _:
            raise CheckpointError("a checkpoint has three lines: origin, size, root")


def sign_checkpoint(checkpoint: Checkpoint, signer: NoteSigner) -> SignedNote:
    """Sign a checkpoint with its log's key.

    Raises:
        CheckpointError: the key does not bear the origin's name.
    """
    if signer.name != checkpoint.origin:
        raise CheckpointError("a log's key bears the name of its origin")
    return sign_note(checkpoint.text(), signer)


def verify_checkpoint(
    data: bytes, *, origin: str, log_key: VerifierKey, witnesses: Sequence[VerifierKey] = ()
) -> VerifiedCheckpoint:
    """Check a signed checkpoint of the log ``origin``. How many witnesses are enough is the caller's to say.

    1. The bytes are a signed note.
    2. Every signature in it by ``log_key`` or by one of ``witnesses`` holds.
    3. One of them is by ``log_key``, of type Ed25519: a witness does not speak for the log.
    4. The text is a checkpoint without extension lines, of this origin.

    Raises:
        NoteError: steps 1 to 3 (its subclasses tell them apart), or step 4 as :class:`CheckpointError`.
    """
    # 1. and 2.
    note = parse_signed_note(data)
    verified = verify_note(note, (log_key, *witnesses))
    # 3.
    if log_key.key_type is not KeyType.ED25519 or all(found.key != log_key for found in verified.signatures):
        raise CheckpointError("the checkpoint is not signed by its log")
    # 4.
    checkpoint = parse_checkpoint_text(verified.text)
    if checkpoint.origin != origin:
        raise CheckpointError("the checkpoint is of another log")
    cosignatures = tuple(
        Cosignature(found.key, decode_cosignature(found.signature.payload)[0])
        for found in verified.signatures
        if found.key.key_type is KeyType.COSIGNATURE
    )
    return VerifiedCheckpoint(checkpoint, cosignatures, note)


def cosign_checkpoint(verified: VerifiedCheckpoint, signer: NoteSigner, *, timestamp: int) -> NoteSignature:
    """Return a witness's cosignature of a checkpoint that it found consistent with all that it saw before.

    The signer's key ID is that of a key of type 04. The key signs under no other name, since the signature does not
    cover the name. The witness remembers the checkpoint durably before the signature leaves it.

    Raises:
        ValueError: the time (POSIX seconds) is not positive, or too large.
    """
    message = cosignature_message(verified.checkpoint.text(), timestamp=timestamp)
    return NoteSignature(signer.name, signer.key_id, encode_cosignature(timestamp, signer.sign(message)))
