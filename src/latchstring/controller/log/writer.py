"""Appends to the logs, in the caller's transaction: what an entry records and the entry are durable together.

An append, within one transaction:

1. Read the log's head, which locks it: nobody else appends to this log until the transaction ends.
2. Extend the tree: new frontier, and the hashes that its tiles gain. The leaves are the entries' canonical bytes.
3. Sign the checkpoint of the new size and root.
4. Write entries, hashes of the tiles, and the head with its checkpoint.

If the transaction does not commit, the checkpoint that was signed never left this process.
"""

from collections.abc import Sequence
from typing import Final

from latchstring.certs.note_signer import Ed25519NoteSigner
from latchstring.certs.signer import Signer
from latchstring.controller.errors import LogDamagedError, StoreUnavailableError
from latchstring.controller.log.names import log_origin
from latchstring.controller.ports import Clock
from latchstring.controller.store.records import LogEntry, LogHead
from latchstring.controller.store.store import UnitOfWork
from latchstring.protocol.checkpoint import Checkpoint, sign_checkpoint
from latchstring.protocol.entries import Entry, controller_entry, endpoint_entry
from latchstring.protocol.entry_bundles import MAX_ENTRY_BYTES
from latchstring.protocol.events import ControllerEvent, LogOpened
from latchstring.protocol.frontier import EMPTY_FRONTIER, Frontier
from latchstring.protocol.merkle import leaf_hash
from latchstring.protocol.statements import VerifiedStatement
from latchstring.protocol.tiles import extend
from latchstring.protocol.times import format_time

MAX_NEW_ENTRIES: Final = 256
"""Entries in one append: a bound on the time that a log is locked."""


class LogWriter:
    """Appends to the logs of one controller."""

    def __init__(self, controller_name: str, signer: Signer, clock: Clock) -> None:
        self._controller_name = controller_name
        self._signer = signer
        self._clock = clock

    @property
    def clock(self) -> Clock:
        """The clock that dates the entries."""
        return self._clock

    def origin(self, log_id: str) -> str:
        """Return the origin of a log's checkpoints."""
        return log_origin(self._controller_name, log_id)

    def verifier_key(self, log_id: str) -> str:
        """Return the vkey that verifies a log's checkpoints."""
        return self._note_signer(log_id).verifier_key.vkey()

    def say(self, event: ControllerEvent) -> Entry:
        """Return the entry for an event that the controller says itself, now."""
        return controller_entry(event, time=format_time(self._clock.now()))

    def repeat(self, statement: VerifiedStatement) -> Entry:
        """Return the entry for what an endpoint reported, logged now."""
        return endpoint_entry(statement, time=format_time(self._clock.now()))

    async def open(self, tx: UnitOfWork, log_id: str) -> LogHead:
        """Create a log. Its first entry says so."""
        await tx.logs.create(self._head(log_id, EMPTY_FRONTIER))
        return await self.append(tx, log_id, [self.say(LogOpened())])

    async def record(self, tx: UnitOfWork, log_id: str, *events: ControllerEvent) -> LogHead:
        """Append events that the controller says itself, as of now."""
        return await self.append(tx, log_id, [self.say(event) for event in events])

    async def append(self, tx: UnitOfWork, log_id: str, entries: Sequence[Entry]) -> LogHead:
        """Append 1 to :data:`MAX_NEW_ENTRIES` entries and return the log's new head.

        Raises:
            LogDamagedError: there is no such log, or its head is malformed.
            StoreUnavailableError: the log's key cannot be reached now.
            ValueError: there are no entries, too many, or one is too long for a log.
        """
        if not 1 <= len(entries) <= MAX_NEW_ENTRIES:
            raise ValueError(f"an append has 1 to {MAX_NEW_ENTRIES} entries, not {len(entries)}")
        bodies = [entry.canonical_bytes() for entry in entries]
        if any(len(body) > MAX_ENTRY_BYTES for body in bodies):
            raise ValueError(f"an entry has at most {MAX_ENTRY_BYTES} bytes")
        # 1.
        old = await tx.logs.head(log_id)
        if old is None:
            raise LogDamagedError(f"log {log_id} is missing")
        # 2.
        extension = extend(old.frontier, [leaf_hash(body) for body in bodies])
        # 3.
        new = self._head(log_id, extension.frontier)
        # 4.
        rows = [
            LogEntry(index, entry.event.type, getattr(entry.event, "session_id", None), body)
            for index, (entry, body) in enumerate(zip(entries, bodies, strict=True), old.size)
        ]
        await tx.logs.extend(new, rows, extension.suffixes)
        return new

    def _head(self, log_id: str, frontier: Frontier) -> LogHead:
        checkpoint = Checkpoint(self.origin(log_id), frontier.size, frontier.root())
        try:
            note = sign_checkpoint(checkpoint, self._note_signer(log_id))
        except OSError as error:
            raise StoreUnavailableError from error
        return LogHead(log_id, frontier, note.encode().decode())

    def _note_signer(self, log_id: str) -> Ed25519NoteSigner:
        return Ed25519NoteSigner(self.origin(log_id), self._signer)
