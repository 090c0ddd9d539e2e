"""The switch in a running agent: cut first, journal after; open only what is in the journal."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from endpoint_parts import House, make_house
from latchstring.endpoint import access_control
from latchstring.endpoint.access_control import AccessControl
from latchstring.endpoint.errors import EndpointError, JournalUnavailableError, RefusedError
from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.switch import Switch
from latchstring.protocol.access import AccessMode
from latchstring.protocol.events import AccessChanged

OFF, ASK, ON = AccessMode.OFF, AccessMode.ASK, AccessMode.ON


class Controlled:
    """A house whose switch is real."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.policy = Policy()
        self.switch = Switch(house.directory, house.clock, boot_id="this")
        self.switch.move(ASK)
        house.lifecycle._mode = lambda: self.switch.mode
        self.control = AccessControl(
            self.switch, house.lifecycle, house.journal, house.clock, policy=lambda: self.policy
        )

    def changes(self) -> list[AccessMode]:
        """Return what the journal says of the switch."""
        return [event.mode for event in self.house.events() if isinstance(event, AccessChanged)]


@pytest.fixture
async def controlled(tmp_path: Path) -> AsyncIterator[Controlled]:
    """A house with a real switch at ask."""
    async with make_house(tmp_path) as house:
        yield Controlled(house)


@pytest.mark.parametrize(("then", "after"), [("off", OFF), ("ask", ASK)])
async def test_on_falls_back_as_the_policy_says(controlled: Controlled, then: str, after: AccessMode) -> None:
    """Without a time of its own, on holds as long as the policy says, and what it says follows; ask holds for good."""
    controlled.policy = Policy.model_validate({"access_for": "8h", "access_then": then})
    setting = await controlled.control.open(ON)
    assert (setting.mode, setting.following, round(setting.seconds_left or 0)) == (ON, after, 8 * 3600)
    controlled.house.clock.elapsed += 8 * 3600
    assert controlled.switch.mode is after
    assert (await controlled.control.open(ON, seconds=60)).seconds_left == 60
    assert (await controlled.control.open(ASK)).seconds_left is None


async def test_a_fallback_opens_nothing(controlled: Controlled) -> None:
    """Where the switch stood at off before, off follows, whatever the policy says."""
    controlled.policy = Policy.model_validate({"access_for": "1h", "access_then": "ask"})
    await controlled.control.turn_off()
    assert (await controlled.control.open(ON)).following is OFF


async def test_off_ends_and_refuses_everything(controlled: Controlled) -> None:
    """Off ends what is live, refuses what waits, and reports both with the proof."""
    house = controlled.house
    await controlled.control.open(ON)
    await house.offered(0)
    await house.offered(1)
    await controlled.control.open(ASK)
    await house.offered(2)
    report = await controlled.control.turn_off()
    assert len(report.endings) == 2
    assert report.refused == 1
    assert (report.fault, report.journaled) == (None, True)
    assert controlled.switch.mode is OFF
    await house.journal.flush(5)
    assert controlled.changes() == [ON, ASK, OFF]
    assert house.types().count("session.ended") == 2
    assert house.types().count("session.refused") == 1


async def test_off_without_a_journal(controlled: Controlled) -> None:
    """Off needs no journal: everything is cut and the file is gone, and the journal hears of it later."""
    house = controlled.house
    await controlled.control.open(ON)
    await house.offered()
    house.store.broken = True
    report = await controlled.control.turn_off()
    assert not report.journaled
    assert [sandbox.is_alive for sandbox in house.sandboxes] == [False]
    assert not house.directory.access.exists()
    house.store.broken = False
    await house.journal.flush(5)
    assert controlled.changes() == [ON, OFF]
    assert "session.ended" in house.types()


async def test_on_needs_the_journal(controlled: Controlled) -> None:
    """What cannot be logged is not opened."""
    controlled.house.store.broken = True
    with pytest.raises(JournalUnavailableError):
        await controlled.control.open(ON)
    assert controlled.switch.mode is ASK


async def test_on_and_off_at_once(controlled: Controlled) -> None:
    """Of on and off in the same moment off wins, and whoever said on is told."""
    results = await asyncio.gather(controlled.control.open(ON), controlled.control.turn_off(), return_exceptions=True)
    assert isinstance(results[0], RefusedError)
    assert controlled.switch.mode is OFF
    assert controlled.changes()[-1] is OFF


async def test_a_disk_that_refuses(controlled: Controlled, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refuses keeps on from being on, and cannot keep off from being off."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("latchstring.endpoint.access_file.replace_private", refuse)
    monkeypatch.setattr("latchstring.endpoint.access_file.sync_directory", refuse)
    with pytest.raises(EndpointError, match="nothing changed"):
        await controlled.control.open(ON)
    assert controlled.switch.mode is ASK
    report = await controlled.control.turn_off()
    assert report.fault is not None
    assert controlled.switch.mode is OFF
    assert controlled.changes() == [ON, ASK, OFF]


def _no_inotify(_: object) -> None:
    raise OSError(24, "Too many open files")


@pytest.mark.parametrize("how", ["its time is up", "no file", "no directory", "nothing tells"])
async def test_moved_by_itself(controlled: Controlled, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the time is up, or somebody took the file away, sessions end as they do at any off, and at once."""
    house = controlled.house
    if how == "nothing tells":
        monkeypatch.setattr(access_control, "LOOK_SECONDS", 0.05)
        monkeypatch.setattr(access_control, "Inotify", _no_inotify)
    await controlled.control.turn_off()
    await controlled.control.open(ON, seconds=3600 if how == "its time is up" else None)
    await house.offered()
    task = asyncio.create_task(controlled.control.run(house.directory.path))
    await asyncio.sleep(0)  # it looks, and then waits
    match how:
        case "its time is up":
            house.clock.elapsed = 3600
            controlled.control.look()
        case "no directory":
            house.directory.path.rename(house.directory.path.with_name("elsewhere"))
        case _:
            house.directory.access.unlink()
    await asyncio.wait_for(house.sandboxes[0].ended.wait(), 5)
    if how == "no directory":
        house.directory.path.with_name("elsewhere").rename(house.directory.path)
    await house.lifecycle.settle()
    await house.journal.flush(5)
    task.cancel()
    assert controlled.changes() == [OFF, ON, OFF]
    assert not house.lifecycle.sessions.ids()


async def test_on_falls_back_to_ask(controlled: Controlled) -> None:
    """A timed on that was ask before leaves its sessions alone, and asks from then on."""
    house = controlled.house
    await controlled.control.open(ON, seconds=3600)
    await house.offered(duration_seconds=7200)
    house.clock.elapsed = 3600
    task = asyncio.create_task(controlled.control.run(house.directory.path))
    await house.journal.wait_longer_than(2)
    task.cancel()
    assert controlled.changes() == [ON, ASK]
    assert len(house.lifecycle.sessions) == 1
