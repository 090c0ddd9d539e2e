"""The agent's way to its journal: appends fail, endings wait, and the order stays."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from endpoint_parts import House, make_house, session_id
from latchstring.endpoint.errors import JournalUnavailableError
from latchstring.protocol.access import AccessMode
from latchstring.protocol.events import AccessChanged, AgentStopped, SessionAsked
from small_disk import fill, small_disk

ASKED = SessionAsked(session_id=session_id())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A journal in a directory."""
    async with make_house(tmp_path) as house:
        yield house


async def test_appends_are_durable_when_they_return(house: House) -> None:
    """An append that returned is in the file."""
    assert await house.journal.append(ASKED) == 0
    assert house.types() == ["session.asked"]


async def test_a_crowd_keeps_its_order(house: House) -> None:
    """Appends and records that gather are written in the order in which they came."""
    events = [AccessChanged(mode=AccessMode.OFF, by="timer") if number % 3 else ASKED for number in range(300)]
    written = [
        asyncio.create_task(house.journal.append(event)) if number % 2 else house.journal.record(event)
        for number, event in enumerate(events)
    ]
    sequences = await asyncio.gather(*written)
    by_sequence = sorted(zip(sequences, events, strict=True), key=lambda pair: pair[0])
    assert sorted(sequences) == list(range(300))
    assert [event.type for _, event in by_sequence] == house.types()


def availability(house: House) -> bool:
    """Return whether the journal can be written, as far as it knows now."""
    return house.journal.available


async def test_a_broken_disk_fails_beginnings_and_keeps_endings(house: House) -> None:
    """While the disk is broken appends fail, records wait, and both are right once it works again."""
    house.store.broken = True
    first = house.journal.record(AgentStopped())
    with pytest.raises(JournalUnavailableError):
        await house.journal.append(ASKED)
    second = house.journal.record(AccessChanged(mode=AccessMode.OFF, by="timer"))
    assert (availability(house), first.done()) == (False, False)
    house.store.broken = False
    assert (await first, await second) == (0, 1)
    assert await house.journal.append(ASKED) == 2
    assert availability(house)
    assert house.types() == ["agent.stopped", "access.changed", "session.asked"]


async def test_acknowledgement_is_kept(house: House) -> None:
    """How far the controller is, is known after a restart, and whoever waits for it is told."""
    await house.journal.append(ASKED)
    waiting = asyncio.create_task(house.journal.wait_acknowledged())
    await house.journal.acknowledge(1)
    await waiting
    assert house.open_store().head.acknowledged == 1


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A small disk."""
    if os.geteuid() != 0:
        pytest.skip("a small file system needs root")
    with small_disk(tmp_path / "small", "3m") as path:
        yield path


async def append_until_it_fails(house: House) -> int:
    """Append, and return how often that went well."""
    for number in range(2000):
        try:
            await house.journal.append(ASKED)
        except JournalUnavailableError:
            return number
    raise AssertionError("the disk never got full")


async def test_full_disk(small: Path) -> None:
    """On a full disk nothing begins, endings are written into the room that was kept, and all works again after."""
    async with make_house(small) as house:
        await house.journal.append(ASKED)
        fill(small / "filler")
        await append_until_it_fails(house)
        ended = house.journal.record(AgentStopped())
        async with asyncio.timeout(5):
            await ended
        assert await append_until_it_fails(house) == 0
        assert house.types()[-1] == "agent.stopped"
        (small / "filler").unlink()
        await house.journal.append(ASKED)
        assert house.types()[-1] == "session.asked"
