"""Transactions: whole or not at all, one writer at a time, and the database's refusals in our words."""

import asyncio
import logging
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from controller_parts import START, Core
from latchstring.controller.errors import StoreDamagedError, StoreUnavailableError
from latchstring.controller.store.migrate import migrate
from latchstring.controller.store.records import Customer
from latchstring.controller.store.store import Store

ACME = Customer("cus-aaaaaaaaaaaaaaaa", "Acme Dental", START)


async def test_a_failed_write_leaves_nothing(core: Core) -> None:
    """An exception in a transaction undoes it, and passes through."""

    async def add_and_fail() -> None:
        async with core.store.write() as tx:
            await tx.customers.add(ACME)
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await add_and_fail()
    assert await core.customers.list() == ()


async def test_a_cancelled_write_leaves_nothing_and_frees_the_writer(core: Core) -> None:
    """A task that is cancelled within its transaction undoes it, and the next writer gets its turn."""
    inside, never = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with core.store.write() as tx:
            await tx.customers.add(ACME)
            inside.set()
            await never.wait()

    task = asyncio.create_task(hold())
    await inside.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(5), core.store.write() as tx:
        assert await tx.customers.all() == ()


async def test_read_modify_writes_do_not_interleave(core: Core) -> None:
    """A hundred concurrent increments of one row count to a hundred."""
    machine = await core.machine()

    async def increment() -> None:
        for _ in range(20):
            async with core.store.write() as tx:
                endpoint = await tx.endpoints.by_id(machine.endpoint_id)
                assert endpoint is not None
                await asyncio.sleep(0)
                await tx.endpoints.advance(machine.endpoint_id, next_sequence=endpoint.next_sequence + 1, access=None)

    await asyncio.gather(*(increment() for _ in range(5)))
    async with core.store.read() as tx:
        endpoint = await tx.endpoints.by_id(machine.endpoint_id)
    assert endpoint is not None
    assert endpoint.next_sequence == 100


async def test_readers_see_one_moment_and_do_not_wait(core: Core) -> None:
    """A read goes on while a write is under way, and sees what was there when it began."""
    async with core.store.write() as writing:
        await writing.customers.add(ACME)
        async with asyncio.timeout(5), core.store.read() as reading:
            assert await reading.customers.all() == ()


async def test_reads_cannot_write(core: Core) -> None:
    """A transaction that was begun to read refuses to change anything."""
    with pytest.raises(StoreUnavailableError):
        async with core.store.read() as tx:
            await tx.customers.add(ACME)
    assert await core.customers.list() == ()


async def test_our_own_mistakes_are_not_disguised(core: Core) -> None:
    """A violated constraint is a bug of ours, and not an unavailable log."""
    with pytest.raises(IntegrityError):
        async with core.store.write() as tx:
            await tx.endpoints.invite(endpoint_id="ept-a", name="a", customer_id="cus-nobody", at=START)


async def test_a_database_that_another_process_holds_is_unavailable(
    core: Core, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who waits for SQLite's lock in vain is told that nothing was changed, and one line names the cause."""
    monkeypatch.setattr("latchstring.controller.store.engine.BUSY_SECONDS", 0.05)
    impatient = await Store.open(core.path)
    try:
        async with core.store.write():
            with pytest.raises(StoreUnavailableError):
                async with impatient.write() as tx:
                    await tx.customers.add(ACME)
    finally:
        await impatient.close()
    assert [(record.levelno, "locked" in record.message) for record in caplog.records] == [(logging.WARNING, True)]


async def test_every_commit_is_synchronous(core: Core) -> None:
    """The connections that write use the journal and the flushes that make a commit durable."""
    with core.store._writing.engine.begin() as connection:
        settings = [
            connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert settings == ["wal", 2, 1]


async def test_missing_and_foreign_databases_are_refused(tmp_path: Path) -> None:
    """A database that is not there, is none, or was never migrated is a clear error, and is not touched."""
    with pytest.raises(StoreDamagedError, match="is missing"):
        await Store.open(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_bytes(b"this is no database, and longer than a header has to be " * 20)
    with pytest.raises(StoreUnavailableError):
        await Store.open(tmp_path / "text.db")
    with pytest.raises(StoreDamagedError, match="cannot be brought"):
        await migrate(tmp_path / "text.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreDamagedError, match="has schema none"):
        await Store.open(tmp_path / "empty.db")
