"""The verification of one whole log, from its first entry to its newest checkpoint."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from latchstring.client.audit.download import EntrySource, read_entries
from latchstring.client.audit.entry_check import EntryChecker
from latchstring.client.audit.faults import Discrepancies, LogFaultError
from latchstring.client.audit.memory import LogMemory, RememberedLog
from latchstring.protocol.api import JournalKeyList, LogView
from latchstring.protocol.checkpoint import Checkpoint, verify_checkpoint
from latchstring.protocol.frontier import Frontier, StreamingRoot
from latchstring.protocol.merkle import leaf_hash
from latchstring.protocol.note_keys import NoteError, NoteKeyError, VerifierKey, parse_verifier_key
from latchstring.protocol.times import format_time

OPERATOR_LOG = "operator"


class LogSource(EntrySource, Protocol):
    """What verification needs of the controller."""

    def journal_keys(self, log_id: str) -> JournalKeyList:
        """Return the keys with which the customer's endpoints sign."""


@dataclass(frozen=True, slots=True)
class VerifiedLog:
    """A log whose integrity holds, as :class:`LogVerifier` found it.

    Attributes:
        checkpoint: the newest one.
        previous_size: the size when it was last verified here, None at first sight.
        verifier_key: the key that signed the checkpoint.
        discrepancies: the entries that do not fit; the log is verified if there is none.
    """

    checkpoint: Checkpoint
    previous_size: int | None
    verifier_key: str
    discrepancies: Discrepancies


@dataclass(frozen=True, slots=True)
class LogVerifier:
    """Verifies logs of one controller.

    Attributes:
        source: where entries come from.
        memory: what is remembered of each log.
        controller_name: begins every log's origin.
        now: the time, to be remembered with what was verified.
    """

    source: LogSource
    memory: LogMemory
    controller_name: str
    now: Callable[[], datetime]

    def verify(self, log: LogView, *, progress: Callable[[int, int], None]) -> VerifiedLog:
        """Verify a log and remember its newest checkpoint.

        The checkpoint is remembered in spite of discrepancies: else an endpoint that reports one oddity would keep a
        later rewriting from being noticed.

        1. Its verifier key is the one of the first sight, and bears the log's name.
        2. Its checkpoint is signed by that key.
        3. It is not smaller than it was.
        4. Its journal keys are those of the first sight.
        5. Every entry holds (:class:`EntryChecker`, which also notes discrepancies).
        6. The entries up to the size seen last are those that were seen.
        7. All entries together have the root that the checkpoint signs.

        Args:
            log: as the controller lists it.
            progress: told after each entry: how many are done, of how many.

        Raises:
            LogFaultError: a step failed; nothing is remembered.
        """
        remembered = self.memory.recall(log.id)
        origin = f"{self.controller_name}/audit/{log.id}"
        key = _check_key(log, origin, remembered)  # 1.
        checkpoint = _check_checkpoint(log, origin, key)  # 2.
        _check_size(checkpoint, remembered)  # 3.
        journal_keys = self._journal_keys(log.id, remembered)  # 4.
        entries = self._entries(log.id, checkpoint.size, progress)
        checker = EntryChecker(_load_keys(journal_keys))
        tree = _check_entries(entries, checkpoint, checker, remembered)  # 5., 6. and 7.
        self.memory.keep(
            log.id,
            RememberedLog(
                origin=origin,
                verifier_key=log.verifier_key,
                size=checkpoint.size,
                frontier=tree.to_bytes().hex(),
                checkpoint=log.checkpoint,
                journal_keys=journal_keys,
                verified_at=format_time(self.now()),
            ),
        )
        previous_size = remembered.size if remembered else None
        return VerifiedLog(checkpoint, previous_size, log.verifier_key, checker.discrepancies)

    def _journal_keys(self, log_id: str, remembered: RememberedLog | None) -> dict[str, str]:
        if log_id == OPERATOR_LOG:
            return {}
        pinned = dict(remembered.journal_keys) if remembered else {}
        current = {key.endpoint_id: key.key for key in self.source.journal_keys(log_id).keys}
        for endpoint_id, key in pinned.items():
            if current.get(endpoint_id, key) != key:
                raise LogFaultError(f"the journal key of {endpoint_id} is not the one that was seen first")
        return pinned | current

    def _entries(self, log_id: str, size: int, progress: Callable[[int, int], None]) -> Iterator[tuple[int, bytes]]:
        for index, body in read_entries(self.source, log_id, start=0, end=size):
            yield index, body
            progress(index + 1, size)


def _check_entries(
    entries: Iterable[tuple[int, bytes]],
    checkpoint: Checkpoint,
    checker: EntryChecker,
    remembered: RememberedLog | None,
) -> Frontier:
    """Return the right edge of the tree over ``entries``, all of which hold."""
    tree = StreamingRoot()
    fault: LogFaultError | None = None
    for index, body in entries:
        fault = fault or _fault_of(checker, index, body)
        tree.add(leaf_hash(body))
        if remembered is not None and tree.size == remembered.size:
            # A rewritten history explains any other fault, so it is what is said.
            fault = _rewritten(tree.frontier(), remembered) or fault
    if fault is None and tree.root() != checkpoint.root:
        fault = LogFaultError("the entries do not have the root that the controller signed")
    if fault is not None:
        raise fault
    return tree.frontier()


def _fault_of(checker: EntryChecker, index: int, body: bytes) -> LogFaultError | None:
    try:
        checker.check(index, body)
    except LogFaultError as error:
        return error
    return None


def _check_key(log: LogView, origin: str, remembered: RememberedLog | None) -> VerifierKey:
    if remembered is not None and log.verifier_key != remembered.verifier_key:
        raise LogFaultError("its verifier key is not the one that was seen first")
    try:
        key = parse_verifier_key(log.verifier_key)
    except NoteKeyError as error:
        raise LogFaultError(f"its verifier key cannot be used: {error}") from error
    if key.name != origin:
        raise LogFaultError(f"its verifier key is made for {key.name!r}, not for {origin!r}")
    return key


def _check_checkpoint(log: LogView, origin: str, key: VerifierKey) -> Checkpoint:
    try:
        return verify_checkpoint(log.checkpoint.encode(), origin=origin, log_key=key).checkpoint
    except NoteError as error:
        raise LogFaultError(f"its checkpoint does not hold: {error}") from error


def _check_size(checkpoint: Checkpoint, remembered: RememberedLog | None) -> None:
    if checkpoint.size == 0:
        raise LogFaultError("it is empty, though a log begins with log.opened")
    if remembered is not None and checkpoint.size < remembered.size:
        raise LogFaultError(
            f"it has {checkpoint.size} entries, and had {remembered.size} when it was verified here at "
            f"{remembered.verified_at}: the end of its history was cut off",
            index=checkpoint.size,
        )


def _rewritten(tree: Frontier, remembered: RememberedLog) -> LogFaultError | None:
    """Return the fault if the entries are not those that were seen, and the first that can be meant."""
    start = 0
    bits = [1 << bit for bit in reversed(range(remembered.size.bit_length())) if remembered.size >> bit & 1]
    for length, seen, found in zip(bits, remembered.tree().hashes, tree.hashes, strict=True):
        if seen != found:
            where = f"entry {start}" if length == 1 else f"entries {start} to {start + length - 1}"
            return LogFaultError(
                f"the history was rewritten: what stands in {where} is not what was verified here at "
                f"{remembered.verified_at}",
                index=start,
            )
        start += length
    return None


def _load_keys(keys: dict[str, str]) -> dict[str, Ed25519PublicKey]:
    loaded = {}
    for endpoint_id, key in keys.items():
        try:
            loaded[endpoint_id] = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        except ValueError as error:
            raise LogFaultError(f"the journal key of {endpoint_id} is no Ed25519 key") from error
    return loaded
