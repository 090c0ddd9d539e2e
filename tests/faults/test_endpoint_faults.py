"""Breaks at every step of what the endpoint writes, and a look at the whole after each."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from endpoint_parts import ENDPOINT_ID, ORIGIN, FakeClock, item
from enrolling_controller import enrolling_controller
from latchstring.certs.identity import create_log_key
from latchstring.certs.note_signer import Ed25519NoteSigner
from latchstring.certs.signer import Algorithm, FileSigner
from latchstring.endpoint.clock import SystemClock
from latchstring.endpoint.data_directory import DataDirectory, is_enrolled
from latchstring.endpoint.enrol import enrol
from latchstring.endpoint.errors import DataDirectoryError, JournalUnavailableError
from latchstring.endpoint.journal.reading import read_journal
from latchstring.endpoint.journal.store import JournalStore
from latchstring.endpoint.journal.verify import verify_journal
from latchstring.endpoint.switch import Switch
from latchstring.protocol.access import AccessMode
from latchstring.protocol.events import AgentStopped

KILLS = 6
APPENDER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_endpoint_faults import open_store
from endpoint_parts import item
from latchstring.protocol.events import AgentStopped
store = open_store(Path(sys.argv[1]))
while True:
    print(store.append([item(AgentStopped())] * 3), flush=True)
"""


def open_store(path: Path) -> JournalStore:
    """Open the journal in a directory, with its own key."""
    signer = FileSigner.load(path / "key", Algorithm.ED25519)
    return JournalStore(
        path / "journal.sqlite3",
        endpoint_id=ENDPOINT_ID,
        signer=signer,
        note_signer=Ed25519NoteSigner(ORIGIN, signer),
    )


def verify(path: Path) -> int:
    """Verify the whole journal, and return its size."""
    signer = FileSigner.load(path / "key", Algorithm.ED25519)
    with read_journal(path / "journal.sqlite3") as reader:
        return verify_journal(
            reader,
            origin=ORIGIN,
            endpoint_id=ENDPOINT_ID,
            journal_key=signer.public_key,  # type: ignore[arg-type]  # loaded as an Ed25519 key
            note_key=Ed25519NoteSigner(ORIGIN, signer).verifier_key,
        ).size


def test_a_killed_writer_loses_nothing_that_it_said(tmp_path: Path) -> None:
    """However often the writer is killed, the journal is whole, and has every batch that was reported, entirely."""
    create_log_key(tmp_path / "key")
    parts = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([parts, str(Path(__file__).parent)])}
    size = 0
    for kill in range(KILLS):
        writer = subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(tmp_path), parts],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert writer.stdout is not None
        with writer, writer.stdout:
            said = [int(writer.stdout.readline()) for _ in range(1 + 7 * kill)]
            writer.send_signal(signal.SIGKILL)
            said += [int(line) for line in writer.stdout.readlines() if line.endswith("\n")]
        assert said[0] == size
        size = verify(tmp_path)
        assert size % 3 == 0
        assert size >= said[-1] + 3


class Breaking:
    """A connection that breaks at its nth statement: before it, or after it was carried out."""

    def __init__(self, connection: sqlite3.Connection, at: int, *, after: bool) -> None:
        self._connection = connection
        self._left = at
        self._after = after

    def execute(self, statement: str, *parameters: Any) -> Any:
        """Execute, or break."""
        self._left -= 1
        if self._left == 0 and not self._after:
            raise sqlite3.OperationalError("disk I/O error")
        result = self._connection.execute(statement, *parameters)
        if self._left == 0:
            raise sqlite3.OperationalError("disk I/O error")
        return result

    def close(self) -> None:
        """Close."""
        self._connection.close()


STATEMENTS_OF_AN_APPEND = 8
"""BEGIN, two statements, three tiles at the boundary of one, the head, COMMIT."""


@pytest.mark.parametrize("at", range(1, STATEMENTS_OF_AN_APPEND + 1))
@pytest.mark.parametrize("after", [False, True])
def test_an_append_that_breaks(tmp_path: Path, at: int, *, after: bool) -> None:
    """Wherever an append of two breaks, both or none are in, the answer says which, and the journal goes on."""
    create_log_key(tmp_path / "key")
    store = open_store(tmp_path)
    store.append([item(AgentStopped())] * 255)
    store._connection = Breaking(store._connection, at, after=after)  # type: ignore[assignment]  # as sqlite's, breaking
    persisted = at == STATEMENTS_OF_AN_APPEND and after
    if persisted:
        assert store.append([item(AgentStopped())] * 2) == 255
    else:
        with pytest.raises(JournalUnavailableError):
            store.append([item(AgentStopped())] * 2)
    size = 257 if persisted else 255
    assert verify(tmp_path) == store.head.size == size
    assert store.append([item(AgentStopped())]) == size
    assert verify(tmp_path) == size + 1
    store.close()


class BreakingCalls:
    """A function that raises at its nth call."""

    def __init__(self, function: Any, at: int) -> None:
        self._function = function
        self.left = at

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call, or break."""
        self.left -= 1
        if self.left == 0:
            raise OSError(28, "No space left on device")
        return self._function(*arguments, **named)


def names_in(path: Path) -> list[str]:
    """Return what is in a directory."""
    return sorted(entry.name for entry in path.iterdir())


@pytest.mark.parametrize("at", range(1, 18))
async def test_an_enrolment_that_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Whichever flush to the disk fails, an enrolment leaves nothing, or is whole and in its place."""
    async with enrolling_controller(tmp_path / "controller") as controller:
        breaking = BreakingCalls(os.fsync, at)
        monkeypatch.setattr(os, "fsync", breaking)
        path = tmp_path / "endpoint"
        with contextlib.suppress(DataDirectoryError):
            await enrol(controller.code, path, clock=SystemClock())
            assert is_enrolled(path)
        monkeypatch.undo()
        expected = ["controller", "endpoint"] if is_enrolled(path) else ["controller"]
        assert names_in(tmp_path) == expected


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("before", [AccessMode.ON, AccessMode.ASK])
@pytest.mark.parametrize("mode", list(AccessMode))
def test_a_move_of_the_switch_that_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, before: AccessMode, mode: AccessMode
) -> None:
    """Whichever flush fails, the switch stands where it stood or where it was moved to, and off is off."""
    switch = Switch(DataDirectory(tmp_path), FakeClock(), boot_id="this")
    switch.move(before)
    breaking = BreakingCalls(os.fsync, at)
    monkeypatch.setattr(os, "fsync", breaking)
    try:
        switch.move(mode)
    except OSError:
        assert breaking.left == 0
    monkeypatch.undo()
    seen = Switch(DataDirectory(tmp_path), FakeClock(), boot_id="this").mode
    assert seen in (before, mode)
    if mode is AccessMode.OFF:
        assert switch.mode is AccessMode.OFF
