"""The check at start: a log that was tampered with, or lost a part, is named and not continued."""

import pytest
from sqlalchemy import text

from controller_parts import Core, ed25519_signer
from latchstring.controller.errors import LogDamagedError
from latchstring.controller.log.check import check_logs
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.controller.log.writer import LogWriter
from latchstring.protocol import events


async def grow(core: Core, count: int) -> None:
    """Append entries to the vendor's own log."""
    async with core.store.write() as tx:
        entries = [core.writer.say(events.ControllerStopped())] * count
        await core.writer.append(tx, OPERATOR_LOG, entries)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257])
async def test_sound_logs_pass(core: Core, size: int) -> None:
    """Logs of sizes around a tile's edge are found sound."""
    if size > 1:
        for part in (size // 2, size - 1 - size // 2):
            await grow(core, part) if part else None
    await core.customers.add("Acme Dental")
    assert await check_logs(core.store, core.writer) == 2


BREAKS = {
    "entry removed": "DELETE FROM log_entries WHERE entry_index = 259",
    "entry added": "INSERT INTO log_entries SELECT log_id, 260, type, session_id, body FROM log_entries"
    " WHERE entry_index = 259",
    "entry replaced": "UPDATE log_entries SET body = (SELECT body FROM log_entries WHERE entry_index = 0)"
    " WHERE entry_index = 259",
    "entry garbled": "UPDATE log_entries SET body = x'00' WHERE entry_index = 259",
    "tile removed": "DELETE FROM log_tiles WHERE level = 1",
    "tile cut": "DELETE FROM log_tiles WHERE level = 0 AND tile_index = 1",
    "tile altered": "UPDATE log_tiles SET hashes = zeroblob(32) WHERE level = 1",
    "head shortened": "UPDATE log_heads SET size = 128",
    "head altered": "UPDATE log_heads SET frontier = zeroblob(length(frontier))",
    "head garbled": "UPDATE log_heads SET frontier = x'00'",
    "checkpoint of before": "UPDATE log_heads SET checkpoint = :old",
    "checkpoint garbled": "UPDATE log_heads SET checkpoint = 'nothing'",
}


@pytest.mark.parametrize("statement", BREAKS.values(), ids=list(BREAKS))
async def test_damage_is_named(core: Core, statement: str) -> None:
    """Every kind of damage at the right edge is found, and the log named."""
    async with core.store.read() as tx:
        old = await tx.logs.head(OPERATOR_LOG)
    assert old is not None
    await grow(core, 256)
    await grow(core, 3)
    with core.store._writing.engine.begin() as connection:
        values = {"old": old.checkpoint} if ":old" in statement else {}
        done = connection.execute(text(statement), values)
    assert done.rowcount > 0
    with pytest.raises(LogDamagedError, match="log operator is damaged"):
        await check_logs(core.store, core.writer)


async def test_another_key_is_refused(core: Core) -> None:
    """A log whose checkpoint another key signed is not continued with this one."""
    stranger = LogWriter("support.example.test", ed25519_signer(), core.clock)
    with pytest.raises(LogDamagedError, match="log operator is damaged"):
        await check_logs(core.store, stranger)
