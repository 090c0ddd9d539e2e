"""The writer: transactions in order, and nothing left running when a task is cancelled."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from latchstring.controller.store.engine import create_write_engine
from latchstring.controller.store.migrate import migrate
from latchstring.controller.store.writer import SqliteWriter

ADD = text("INSERT INTO customers VALUES (:id, :id, '2026-11-24T09:30:00.000Z')")
COUNT = text("SELECT count(*) FROM customers")


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[SqliteWriter]:
    """Return a writer on a fresh database."""
    await migrate(tmp_path / "controller.db")
    writer = SqliteWriter(create_write_engine(tmp_path / "controller.db"))
    yield writer
    await writer.close()


async def count(writer: SqliteWriter) -> int:
    """Return how many customers there are."""
    async with writer.begin() as connection:
        return int((await connection.execute(COUNT)).scalar_one())


@pytest.mark.parametrize("step", ["begin", "commit"])
async def test_cancelled_while_the_disk_is_slow(
    writer: SqliteWriter, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A task that is cancelled, even twice, in begin or commit ends only with that step, and the next writer works."""
    entered, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    with writer.engine.connect() as probe:
        kind = type(probe)
    genuine = getattr(kind, step)

    def slow(connection: object) -> object:
        loop.call_soon_threadsafe(entered.set)
        go_on.wait(10)
        return genuine(connection)

    async def add() -> None:
        async with writer.begin() as connection:
            await connection.execute(ADD, {"id": "a"})

    monkeypatch.setattr(kind, step, slow)
    task = asyncio.create_task(add())
    await entered.wait()
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.undo()
    assert await count(writer) == (0 if step == "begin" else 1)


async def test_transactions_run_in_the_order_of_asking(writer: SqliteWriter) -> None:
    """Writers take turns in the order in which they came."""
    order: list[int] = []

    async def write(number: int) -> None:
        async with writer.begin() as connection:
            order.append(number)
            await connection.execute(ADD, {"id": str(number)})

    await asyncio.gather(*(write(number) for number in range(20)))
    assert order == list(range(20))
    assert await count(writer) == 20
