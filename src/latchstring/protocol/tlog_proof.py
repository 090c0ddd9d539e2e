r"""A proof that an entry is in a log, in one self-contained text (C2SP tlog-proof), for verification offline.

``c2sp.org/tlog-proof@v1\n``, optionally ``extra <base64>\n``, ``index <n>\n``, the inclusion proof's hashes in base64
from the leaf up, one a line, an empty line, and the signed checkpoint as it is. Files end in ``.tlog-proof``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from latchstring.protocol.c2sp_text import decode_base64, encode_base64, parse_decimal
from latchstring.protocol.checkpoint import VerifiedCheckpoint, verify_checkpoint
from latchstring.protocol.merkle import HASH_BYTES, ProofError, leaf_hash, verify_inclusion
from latchstring.protocol.note import MAX_NOTE_BYTES
from latchstring.protocol.note_keys import NoteError, VerifierKey

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_HASHES: Final = 63
MAX_EXTRA_BYTES: Final = 65536
_MAX_HEAD_BYTES: Final = 2 * MAX_EXTRA_BYTES


class TlogProofError(ValueError):
    """A text that is no proof, or a proof that does not hold."""


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A proof as it travels, unverified. Nothing authenticates ``extra``."""

    index: int
    hashes: tuple[bytes, ...]
    unverified_checkpoint: bytes
    extra: bytes | None = None

    def encode(self) -> bytes:
        """Return the proof's bytes, as :func:`parse_tlog_proof` reads them."""
        extra = [] if self.extra is None else [f"extra {encode_base64(self.extra)}"]
        lines = [HEADER, *extra, f"index {self.index}", *map(encode_base64, self.hashes), "", ""]
        return "\n".join(lines).encode() + self.unverified_checkpoint


def parse_tlog_proof(data: bytes) -> TlogProof:
    """Return the proof in ``data``, unverified; its checkpoint is not even parsed.

    Raises:
        TlogProofError: it is none.
    """
    if len(data) > _MAX_HEAD_BYTES + MAX_NOTE_BYTES:
        raise TlogProofError("the proof is too long")
    head, separator, checkpoint = data.partition(b"\n\n")
    if not separator:
        raise TlogProofError("not a tlog-proof: it has no empty line")
    try:
        return _parse(head.decode("ascii").split("\n"), checkpoint)
    except ValueError as error:
        raise TlogProofError(f"not a tlog-proof: {error}") from error


def verify_tlog_proof(
    proof: TlogProof, entry: bytes, *, origin: str, log_key: VerifierKey, witnesses: Sequence[VerifierKey] = ()
) -> VerifiedCheckpoint:
    """Check that ``entry`` is in the log, and return the checkpoint that says so.

    1. The checkpoint is the log's (:func:`~latchstring.protocol.checkpoint.verify_checkpoint`).
    2. The inclusion proof leads from the entry's hash to the checkpoint's root.

    Raises:
        TlogProofError: a step failed.
    """
    try:
        verified = verify_checkpoint(proof.unverified_checkpoint, origin=origin, log_key=log_key, witnesses=witnesses)
        verify_inclusion(
            index=proof.index,
            size=verified.checkpoint.size,
            leaf=leaf_hash(entry),
            proof=proof.hashes,
            root=verified.checkpoint.root,
        )
    except (NoteError, ProofError) as error:
        raise TlogProofError(str(error)) from error
    return verified


def _parse(lines: list[str], checkpoint: bytes) -> TlogProof:
    if lines.pop(0) != HEADER:
        raise ValueError("the first line is another")
    extra = _pop_field(lines, "extra ")
    index = _pop_field(lines, "index ")
    if index is None:
        raise ValueError("there is no index")
    if len(lines) > MAX_HASHES:
        raise ValueError(f"an inclusion proof has at most {MAX_HASHES} hashes")
    return TlogProof(
        index=parse_decimal(index),
        hashes=tuple(_parse_hash(line) for line in lines),
        unverified_checkpoint=checkpoint,
        extra=None if extra is None else decode_base64(extra),
    )


def _pop_field(lines: list[str], prefix: str) -> str | None:
    if lines and lines[0].startswith(prefix):
        return lines.pop(0).removeprefix(prefix)
    return None


def _parse_hash(line: str) -> bytes:
    value = decode_base64(line)
    if len(value) != HASH_BYTES:
        raise ValueError(f"a hash does not have {HASH_BYTES} bytes")
    return value
