"""Verifying a journal from its first statement to its checkpoint."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from latchstring.endpoint.errors import JournalDamagedError
from latchstring.endpoint.journal.commitments import OpeningError, verify_opening
from latchstring.endpoint.journal.reading import JournalEntry, JournalReader
from latchstring.endpoint.journal.store import leaf_of
from latchstring.protocol.checkpoint import verify_checkpoint
from latchstring.protocol.frontier import StreamingRoot
from latchstring.protocol.merkle import leaf_hash
from latchstring.protocol.note_keys import NoteError, VerifierKey
from latchstring.protocol.statements import StatementError, verify_statement
from latchstring.protocol.tiles import TileError, root


@dataclass(frozen=True, slots=True)
class VerifiedJournal:
    """What :func:`verify_journal` found: the size and root of a journal that is whole."""

    size: int
    root: bytes


def verify_journal(
    reader: JournalReader, *, origin: str, endpoint_id: str, journal_key: Ed25519PublicKey, note_key: VerifierKey
) -> VerifiedJournal:
    """Verify a journal.

    1. Its checkpoint is signed by the journal's key, and has the size that the journal claims.
    2. Its statements are numbered from 0 without a gap, and each is signed by the journal's key for this endpoint.
    3. Each detail that is kept opens the commitment in its statement.
    4. The tree over the statements has the checkpoint's size and root.
    5. So have the stored tiles.

    Raises:
        JournalDamagedError: a step failed; the text says which and where.
    """
    head = reader.head()
    try:
        checkpoint = verify_checkpoint(head.checkpoint, origin=origin, log_key=note_key).checkpoint  # 1
    except NoteError as error:
        raise JournalDamagedError(f"the journal's checkpoint is not its own: {error}") from error
    if head.size != checkpoint.size:
        raise JournalDamagedError("the journal's size is not that of its checkpoint")
    tree = StreamingRoot()
    for entry in reader.entries():
        if entry.statement.sequence != tree.size:  # 2
            raise JournalDamagedError(f"statement {tree.size} of the journal is missing")
        _verify_entry(entry, endpoint_id, journal_key)
        tree.add(leaf_hash(leaf_of(entry.signed)))
    if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):  # 4
        raise JournalDamagedError("the journal's statements are not those that its checkpoint was signed for")
    try:
        tiles_root = root(checkpoint.size, reader.tile)  # 5
    except TileError as error:
        raise JournalDamagedError(f"the journal's tiles are damaged: {error}") from error
    if tiles_root != checkpoint.root:
        raise JournalDamagedError("the journal's tiles are not those of its statements")
    return VerifiedJournal(checkpoint.size, checkpoint.root)


def _verify_entry(entry: JournalEntry, endpoint_id: str, journal_key: Ed25519PublicKey) -> None:
    sequence = entry.statement.sequence
    try:
        verify_statement(entry.signed, endpoint_id=endpoint_id, journal_key=journal_key)
        if entry.opening is not None:  # 3
            verify_opening(entry.opening, getattr(entry.statement.event, "detail_commitment", None) or "")
    except (StatementError, OpeningError) as error:
        raise JournalDamagedError(f"statement {sequence} of the journal: {error}") from error
