"""Checks at start that every log holds together where it will grow: a damaged log is not continued.

What is checked is the right edge, which costs a few rows for each log. That all entries are those that the tree commits
to is what ``latch audit verify`` shows, from outside.
"""

from latchstring.controller.errors import LogDamagedError
from latchstring.controller.log.reader import LogReader
from latchstring.controller.log.writer import LogWriter
from latchstring.controller.store.records import LogHead
from latchstring.controller.store.store import Store, UnitOfWork
from latchstring.protocol.checkpoint import Checkpoint, verify_checkpoint
from latchstring.protocol.entries import EntryError, parse_entry
from latchstring.protocol.merkle import HASH_BYTES, leaf_hash
from latchstring.protocol.note_keys import NoteError, parse_verifier_key
from latchstring.protocol.tiles import TILE_WIDTH, TileError, read_frontier, tiles_for_root


async def check_logs(store: Store, writer: LogWriter) -> int:
    """Check every log and return how many there are.

    Raises:
        LogDamagedError: one does not hold together; the message says which, and where.
        StoreUnavailableError: the database cannot be read now.
    """
    async with store.read() as tx:
        heads = await tx.logs.heads()
        for head in heads:
            await check_log(tx, writer, head)
    return len(heads)


async def check_log(tx: UnitOfWork, writer: LogWriter, head: LogHead) -> None:
    """Check one log.

    1. The checkpoint is signed by the log's key, and says the head's size and root.
    2. The tiles at the right edge give the head's frontier.
    3. The last entry is there, is an entry, and is the tree's last leaf; there is none after it.

    Raises:
        LogDamagedError: a step failed.
    """
    damaged = f"log {head.log_id} is damaged"
    # 1.
    origin = writer.origin(head.log_id)
    try:
        key = parse_verifier_key(writer.verifier_key(head.log_id))
        verified = verify_checkpoint(head.checkpoint.encode(), origin=origin, log_key=key)
    except NoteError as error:
        raise LogDamagedError(f"{damaged}: {error}") from error
    if verified.checkpoint != Checkpoint(origin, head.size, head.frontier.root()):
        raise LogDamagedError(f"{damaged}: its checkpoint is of another tree than its head")
    # 2.
    tiles = await LogReader(tx, head.log_id).tiles(tiles_for_root(head.size) | {_last_tile(head)})
    try:
        frontier = read_frontier(head.size, tiles)
    except TileError as error:
        raise LogDamagedError(f"{damaged}: {error}") from error
    if frontier != head.frontier:
        raise LogDamagedError(f"{damaged}: its tiles are of another tree than its head")
    # 3.
    last = max(head.size - 1, 0)
    entries = await tx.logs.entries(head.log_id, start=last, limit=2)
    if [entry.index for entry in entries] != [last]:
        raise LogDamagedError(f"{damaged}: its last entry is not number {last}")
    try:
        parse_entry(entries[0].body)
    except EntryError as error:
        raise LogDamagedError(f"{damaged}: entry {last} is {error}") from error
    offset = last % TILE_WIDTH * HASH_BYTES
    if tiles(*_last_tile(head))[offset : offset + HASH_BYTES] != leaf_hash(entries[0].body):
        raise LogDamagedError(f"{damaged}: entry {last} is not the one that its tree commits to")


def _last_tile(head: LogHead) -> tuple[int, int]:
    return (0, max(head.size - 1, 0) // TILE_WIDTH)
