"""Appending: entries, tiles, head and checkpoint grow together, in the caller's transaction."""

import asyncio
import base64

import pytest

from controller_parts import Core, FakeClock, ed25519_signer
from latchstring.controller.errors import LogDamagedError, StoreUnavailableError
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.controller.log.reader import LogReader
from latchstring.controller.log.writer import MAX_NEW_ENTRIES, LogWriter
from latchstring.protocol import events
from latchstring.protocol.checkpoint import verify_checkpoint
from latchstring.protocol.merkle import leaf_hash, verify_consistency, verify_inclusion
from latchstring.protocol.note_keys import parse_verifier_key

STOPPED = events.ControllerStopped()


class UnreachableSigner:
    """A signer whose key cannot be reached."""

    def __init__(self) -> None:
        self._signer = ed25519_signer()
        self.algorithm = self._signer.algorithm
        self.public_key = self._signer.public_key

    def sign(self, message: bytes) -> bytes:
        """Fail."""
        raise OSError(f"no key for {len(message)} bytes")


async def append(core: Core, count: int) -> None:
    """Append entries to the vendor's own log in one transaction."""
    async with core.store.write() as tx:
        await core.writer.append(tx, OPERATOR_LOG, [core.writer.say(STOPPED)] * count)


async def test_log_opens_with_its_first_entry(core: Core) -> None:
    """Every log begins by saying that it was opened."""
    customer_id = await core.customers.add("Acme Dental")
    assert await core.types(customer_id) == ["log.opened"]
    assert await core.types(OPERATOR_LOG) == ["log.opened", "customer.added"]


async def test_log_over_several_tiles_verifies(core: Core) -> None:
    """A log that fills its first tile and goes on verifies at every size on the way."""
    for count in (1, 253, 1, 1, 250, 30):
        await append(core, count)
        entries = await core.log(OPERATOR_LOG)
    assert len(entries) == 537


async def test_proofs_from_stored_tiles_hold(core: Core) -> None:
    """Inclusion and consistency proofs made from the database lead to the signed checkpoint."""
    key = parse_verifier_key(core.writer.verifier_key(OPERATOR_LOG))
    roots = {}
    for _ in range(6):
        await append(core, 99)
        async with core.store.read() as tx:
            head = await LogReader(tx, OPERATOR_LOG).head()
        roots[head.size] = head.frontier.root()
    async with core.store.read() as tx:
        reader = LogReader(tx, OPERATOR_LOG)
        page = await reader.page(0, 1000)
        for index in (0, 255, 256, 511, head.size - 1):
            proof = await reader.prove_inclusion(index)
            verified = verify_checkpoint(proof.checkpoint.encode(), origin=key.name, log_key=key)
            leaf = leaf_hash(base64.b64decode(page.entries[index].entry))
            verify_inclusion(index=index, size=proof.size, leaf=leaf, proof=proof.hashes, root=verified.checkpoint.root)
        for old_size, old_root in roots.items():
            proof = await reader.prove_consistency(old_size)
            verify_consistency(
                old_size=old_size,
                old_root=old_root,
                new_size=proof.size,
                new_root=roots[proof.size],
                proof=proof.hashes,
            )
        with pytest.raises(ValueError, match="not in a tree"):
            await reader.prove_inclusion(head.size)


async def test_append_without_commit_leaves_the_log_alone(core: Core) -> None:
    """What was appended in a transaction that failed is not in the log, and the log grows on as if it never was."""

    async def append_and_fail() -> None:
        async with core.store.write() as tx:
            await core.writer.record(tx, OPERATOR_LOG, STOPPED)
            raise LookupError

    with pytest.raises(LookupError):
        await append_and_fail()
    await append(core, 1)
    assert await core.types(OPERATOR_LOG) == ["log.opened", "controller.stopped"]


async def test_concurrent_appends_all_count(core: Core) -> None:
    """Appends by many tasks at once all end up in one sound log."""
    await asyncio.gather(*(append(core, 1) for _ in range(40)))
    assert len(await core.log(OPERATOR_LOG)) == 41


async def test_key_that_cannot_be_reached_stops_the_log(core: Core, clock: FakeClock) -> None:
    """Without a signature there is no entry, and the caller hears that nothing was changed."""
    writer = LogWriter("support.example.test", UnreachableSigner(), clock)
    with pytest.raises(StoreUnavailableError):
        async with core.store.write() as tx:
            await writer.record(tx, OPERATOR_LOG, STOPPED)
    assert await core.types(OPERATOR_LOG) == ["log.opened"]


async def test_misuse_is_refused(core: Core) -> None:
    """No entries, too many, or a log that does not exist are refused."""
    async with core.store.write() as tx:
        for count in (0, MAX_NEW_ENTRIES + 1):
            with pytest.raises(ValueError, match="an append has"):
                await core.writer.append(tx, OPERATOR_LOG, [core.writer.say(STOPPED)] * count)
        with pytest.raises(LogDamagedError, match="missing"):
            await core.writer.record(tx, "cus-aaaaaaaaaaaaaaaa", STOPPED)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock."""
    return FakeClock()
