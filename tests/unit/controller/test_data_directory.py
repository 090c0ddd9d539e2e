"""Tests of the data directory: whose it is, and who uses it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from latchstring.controller.addresses import parse_address
from latchstring.controller.data_directory import (
    BoundAddresses,
    DataDirectory,
    DataDirectoryExistsError,
    DataDirectoryForeignError,
    DataDirectoryInUseError,
    DataDirectoryMissingError,
    DataDirectoryNewerError,
    create_directory,
    lock,
    open_directory,
)


def create(path: Path) -> None:
    """Make a finished data directory."""
    with create_directory(path) as directory:
        directory.settings.write_text("x")


def test_create_and_open(tmp_path: Path) -> None:
    """A directory that was filled to the end can be opened, and is its owner's alone."""
    path = tmp_path / "some" / "where"
    create(path)
    assert open_directory(path) == DataDirectory(path)
    assert path.stat().st_mode & 0o777 == 0o700


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    """An empty directory, such as a fresh volume, is filled and made private."""
    tmp_path.chmod(0o755)
    create(tmp_path)
    assert open_directory(tmp_path).path.stat().st_mode & 0o777 == 0o700


def test_twice(tmp_path: Path) -> None:
    """A second creation changes nothing."""
    create(tmp_path / "data")
    with pytest.raises(DataDirectoryExistsError, match="already"), create_directory(tmp_path / "data"):
        pytest.fail("the block must not run")
    assert (tmp_path / "data" / "controller.toml").read_text() == "x"


@pytest.mark.parametrize("before", [False, True])
def test_failure_leaves_nothing(tmp_path: Path, before: bool) -> None:  # noqa: FBT001 - a row of a table
    """If filling fails, what was there before is there again."""
    path = tmp_path / "data"
    if before:
        path.mkdir()

    def fill() -> None:
        with create_directory(path) as directory:
            directory.keys.mkdir()
            (directory.keys / "root.key").write_text("x")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fill()
    assert path.exists() == before
    assert not before or list(path.iterdir()) == []


def test_unfinished(tmp_path: Path) -> None:
    """What an interrupted creation left is told apart from a stranger's directory."""
    (tmp_path / "lock").write_text("1\n")
    (tmp_path / "controller.toml").write_text("x")
    with pytest.raises(DataDirectoryForeignError, match="unfinished"):
        open_directory(tmp_path)
    with pytest.raises(DataDirectoryForeignError, match="unfinished"), create_directory(tmp_path):
        pytest.fail("the block must not run")


@pytest.mark.parametrize(
    ("marker", "error", "words"),
    [
        (None, DataDirectoryForeignError, "not the data directory"),
        ('{"kind": "latch-endpoint", "format": 1}', DataDirectoryForeignError, "latch-endpoint"),
        ('{"kind": "latch-controller", "format": 2}', DataDirectoryNewerError, "newer"),
        ('{"kind": "latch-controller"}', DataDirectoryNewerError, "newer"),
        ("[]", DataDirectoryForeignError, "None"),
        ("not json", DataDirectoryForeignError, "marker"),
    ],
)
def test_not_ours(tmp_path: Path, marker: str | None, error: type[Exception], words: str) -> None:
    """What is not a controller's directory of this version is refused, and said why."""
    (tmp_path / "file").write_text("x")
    if marker is not None:
        (tmp_path / "latchstring.json").write_text(marker)
    with pytest.raises(error, match=words):
        open_directory(tmp_path)


def test_missing_and_file(tmp_path: Path) -> None:
    """A path at which nothing is, or a file, is named."""
    with pytest.raises(DataDirectoryMissingError, match="init"):
        open_directory(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataDirectoryForeignError, match="not a directory"):
        open_directory(tmp_path / "file")
    with pytest.raises(DataDirectoryForeignError, match="not a directory"), create_directory(tmp_path / "file"):
        pytest.fail("the block must not run")


HOLD = """
import pathlib, sys
from latchstring.controller.data_directory import lock
with lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_lock(tmp_path: Path) -> None:
    """A second process is told who holds the directory; when that one dies it is free."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DataDirectoryInUseError, match=f"pid {holder.pid}"), lock(tmp_path):
            pytest.fail("the block must not run")
        holder.kill()
    with lock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_bound_addresses(tmp_path: Path) -> None:
    """Bound addresses are read back; what cannot be read is as good as none."""
    directory = DataDirectory(tmp_path)
    assert directory.read_bound() is None
    bound = BoundAddresses(*(parse_address(f"127.0.0.1:{port}") for port in (1, 2, 3)))
    directory.write_bound(bound)
    assert directory.read_bound() == bound
    for garbage in ("", "{}", "[]", '{"people": 1, "tunnel": 2, "relay": 3}'):
        (tmp_path / "addresses.json").write_text(garbage)
        assert directory.read_bound() is None
