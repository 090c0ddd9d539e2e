"""The data directory: ours, private, of a known layout, and one agent's at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from latchstring.endpoint.agent_process import AgentProcess, find_agent, hold_lock, kill_agent, start_time_of
from latchstring.endpoint.data_directory import is_enrolled, marker, open_directory
from latchstring.endpoint.errors import DataDirectoryError, DataDirectoryInUseError

HOLDER = """
import sys, subprocess, pathlib
from latchstring.endpoint.agent_process import hold_lock
with hold_lock(pathlib.Path(sys.argv[1])):
    child = subprocess.Popen(["sleep", "898989"])
    print(child.pid, flush=True)
    sys.stdin.read()
"""


def make(path: Path, contents: bytes | None = None) -> Path:
    """Make a data directory with this marker."""
    path.mkdir(mode=0o700)
    (path / "latchstring.json").write_bytes(marker() if contents is None else contents)
    return path


def test_ours(tmp_path: Path) -> None:
    """A directory with our marker is opened, also through a link."""
    path = make(tmp_path / "data")
    (tmp_path / "link").symlink_to(path)
    assert open_directory(tmp_path / "link").path == path
    assert is_enrolled(path)
    assert not is_enrolled(tmp_path / "none")


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b'{"kind":"latch-controller","format":1}', "latch-controller"),
        (b'{"kind":"latch-endpoint","format":2}', "newer"),
        (b'{"kind":"latch-endpoint"}', "newer"),
        (b"[]", "not of latch-endpoint"),
        (b"nonsense", "marker"),
    ],
)
def test_not_ours(tmp_path: Path, contents: bytes, words: str) -> None:
    """Another party's directory, a newer layout and a damaged marker are told apart."""
    with pytest.raises(DataDirectoryError, match=words):
        open_directory(make(tmp_path / "data", contents))


def test_open_to_others(tmp_path: Path) -> None:
    """A directory that others can enter is refused, with the command that closes it."""
    path = make(tmp_path / "data")
    path.chmod(0o755)
    with pytest.raises(DataDirectoryError, match="chmod 700"):
        open_directory(path)


def test_lock_names_its_holder(tmp_path: Path) -> None:
    """A lock that is held names the process, and is free once that is gone."""
    path = tmp_path / "lock"
    with hold_lock(path):
        assert find_agent(path) == AgentProcess(os.getpid(), start_time_of(os.getpid()) or 0)
        with pytest.raises(DataDirectoryInUseError, match=f"pid {os.getpid()}"), hold_lock(path):
            pass
    assert find_agent(path) is None
    assert find_agent(tmp_path / "none") is None
    with hold_lock(path):
        pass


def test_kill_takes_the_children_along(tmp_path: Path) -> None:
    """A killed agent is gone when this returns, and what it started is counted until it is gone too."""
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        agent = find_agent(path)
        assert agent is not None
        assert agent.pid == holder.pid
        assert kill_agent(AgentProcess(agent.pid, agent.start_time + 1), wait_seconds=0.1) == 0
        assert holder.poll() is None
        assert kill_agent(agent, wait_seconds=0.2) == 1
        assert holder.wait() == -9
        os.kill(child, 9)
        assert find_agent(path) is None
    assert kill_agent(agent, wait_seconds=0.1) == 0


def test_content_of_a_lock_that_is_no_pid(tmp_path: Path) -> None:
    """A lock whose content says nothing kills nobody."""
    path = tmp_path / "lock"
    with hold_lock(path):
        path.write_text("rubbish")
        assert find_agent(path) is None
