"""The switch: deny by default, durable, and moved by time only to where the customer said."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from endpoint_parts import FakeClock
from latchstring.endpoint.data_directory import DataDirectory
from latchstring.endpoint.switch import Switch
from latchstring.protocol.access import AccessMode
from small_disk import fill, small_disk

OFF, ASK, ON = AccessMode.OFF, AccessMode.ASK, AccessMode.ON
HOUR = 3600


@pytest.fixture
def clock() -> FakeClock:
    """A clock that is moved by hand."""
    return FakeClock()


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    """An empty data directory."""
    return DataDirectory(tmp_path)


def restart(directory: DataDirectory, clock: FakeClock, boot_id: str = "this") -> Switch:
    """Return the switch as another process sees it."""
    return Switch(directory, clock, boot_id=boot_id)


def test_nothing_there_is_off(directory: DataDirectory, clock: FakeClock) -> None:
    """Without a file access is off."""
    assert restart(directory, clock).mode is OFF


@pytest.mark.parametrize(
    "contents", [b"", b"{}", b'{"version":1,"mode":"off"}', b'{"version":2,"mode":"on"}', b'{"mode":"on","x":1}']
)
def test_what_cannot_be_read_is_off(directory: DataDirectory, clock: FakeClock, contents: bytes) -> None:
    """A damaged file, or one of a newer version, can only close the door."""
    directory.access.write_bytes(contents)
    directory.access.chmod(0o600)
    assert restart(directory, clock).mode is OFF


def test_a_file_that_others_can_write_is_off(directory: DataDirectory, clock: FakeClock) -> None:
    """A switch that anybody could have moved is not believed."""
    restart(directory, clock).move(ON)
    directory.access.chmod(0o666)
    assert restart(directory, clock).mode is OFF


@pytest.mark.parametrize("mode", [ON, ASK, OFF])
def test_moves_are_durable(directory: DataDirectory, clock: FakeClock, mode: AccessMode) -> None:
    """Another process sees what was set."""
    restart(directory, clock).move(ASK)
    restart(directory, clock).move(mode)
    assert restart(directory, clock).mode is mode


@pytest.mark.parametrize(
    ("before", "mode", "after"),
    [(OFF, ON, OFF), (OFF, ASK, OFF), (ASK, ON, ASK), (ON, ON, ASK), (ON, OFF, ON), (ASK, OFF, ASK), (OFF, OFF, OFF)],
)
def test_time_moves_it_back(
    directory: DataDirectory, clock: FakeClock, before: AccessMode, mode: AccessMode, after: AccessMode
) -> None:
    """On and ask fall back to off or ask, off to what it was, at the time that was said, also across a restart."""
    switch = restart(directory, clock)
    switch.move(before)
    switch.move(mode, seconds=HOUR)
    clock.elapsed = HOUR - 1
    assert switch.mode is restart(directory, clock).mode is mode
    clock.elapsed = HOUR
    assert switch.mode is restart(directory, clock).mode is after
    switch.settle()
    assert restart(directory, clock, boot_id="next").mode is after


def test_a_second_time_keeps_the_way_back_to_off(directory: DataDirectory, clock: FakeClock) -> None:
    """Prolonging a timed ``on`` does not forget that it was off before."""
    switch = restart(directory, clock)
    switch.move(ON, seconds=HOUR)
    switch.move(ON, seconds=2 * HOUR)
    clock.elapsed = 2 * HOUR
    assert switch.mode is OFF


@pytest.mark.parametrize(("before", "mode", "after"), [(ASK, ON, ASK), (OFF, ON, OFF), (ON, OFF, OFF)])
def test_another_boot_is_the_narrower_side(
    directory: DataDirectory, clock: FakeClock, before: AccessMode, mode: AccessMode, after: AccessMode
) -> None:
    """After a reboot nobody knows how much time has passed: on and ask are over, off is not."""
    switch = restart(directory, clock)
    switch.move(before)
    switch.move(mode, seconds=HOUR)
    assert restart(directory, clock, boot_id="next").mode is after
    assert restart(directory, clock, boot_id="").mode is after


def test_off_forgets_a_return(directory: DataDirectory, clock: FakeClock) -> None:
    """Off for good after off for a time stays off."""
    switch = restart(directory, clock)
    switch.move(ON)
    switch.move(OFF, seconds=HOUR)
    switch.move(OFF)
    clock.elapsed = 2 * HOUR
    assert switch.mode is OFF
    assert list(directory.path.iterdir()) == []


def test_removed_by_hand_is_off(directory: DataDirectory, clock: FakeClock) -> None:
    """Whoever removes the file has turned access off, without any command."""
    switch = restart(directory, clock)
    switch.move(ON)
    directory.access.unlink()
    assert switch.mode is OFF


def test_close_wins_over_the_file(directory: DataDirectory, clock: FakeClock) -> None:
    """A process that was told off is off, even if its disk refuses to forget."""
    switch = restart(directory, clock)
    switch.move(ON)
    switch.close()
    assert switch.mode is OFF
    assert restart(directory, clock).mode is ON


@pytest.fixture
def full(tmp_path: Path) -> Iterator[DataDirectory]:
    """A data directory on a file system that can be filled."""
    if os.geteuid() != 0:
        pytest.skip("a small file system needs root")
    with small_disk(tmp_path / "full", "64k") as place:
        yield DataDirectory(place)


def test_off_with_a_full_disk(full: DataDirectory, clock: FakeClock) -> None:
    """On a full disk on and ask fail and change nothing, and off works."""
    switch = restart(full, clock)
    switch.move(ASK)
    fill(full.path / "filler")
    with pytest.raises(OSError, match="space"):
        switch.move(ON)
    assert switch.mode is ASK
    switch.move(OFF)
    assert switch.mode is restart(full, clock).mode is OFF
