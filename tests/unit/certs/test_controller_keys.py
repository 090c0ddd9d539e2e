"""The controller's keys: made at once or not at all, never overwritten, checked when read."""

import os
import shutil
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from latchstring.certs import controller_keys
from latchstring.certs.controller_keys import (
    FILES,
    ControllerKeysDamagedError,
    ControllerKeysExistError,
    ControllerKeysMissingError,
    create,
    load,
)
from latchstring.certs.keyfiles import KeyFilePermissionsError, KeyFileRefusedError

NOW = datetime(2026, 11, 23, tzinfo=UTC)
PRIVATE = ("root.key", "user_ca", "host_ca", "log.key")
NAME = "support.example.test"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Return a directory with the controller's keys."""
    create(tmp_path / "keys", NAME, NOW)
    return tmp_path / "keys"


def names(directory: Path) -> list[str]:
    """Return the sorted names in a directory."""
    return sorted(path.name for path in directory.iterdir())


def contents(directory: Path) -> dict[str, bytes]:
    """Return each file of a directory."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_what_is_created_can_be_read(tmp_path: Path) -> None:
    """Reading gives the same authorities as the creation did, and no temporary file remains."""
    before = os.umask(0)
    try:
        created = create(tmp_path / "keys", NAME, NOW)
    finally:
        os.umask(before)
    loaded = load(tmp_path / "keys")
    assert loaded.x509.root == created.x509.root
    assert loaded.user_ca.public_key == created.user_ca.public_key != loaded.host_ca.public_key
    assert loaded.log_signer.public_key == created.log_signer.public_key
    assert names(tmp_path) == ["keys"]
    assert names(tmp_path / "keys") == sorted(FILES)


def test_modes(keys: Path) -> None:
    """The directory is 0700, each private key 0600, the rest 0644."""
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    for name in FILES:
        assert stat.S_IMODE((keys / name).stat().st_mode) == (0o600 if name in PRIVATE else 0o644)


def test_existing_keys_are_never_overwritten(keys: Path) -> None:
    """A second creation changes nothing and says why."""
    before = contents(keys)
    with pytest.raises(ControllerKeysExistError, match="never overwritten"):
        create(keys, NAME, NOW)
    assert contents(keys) == before


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    """An empty directory, even one that others can enter, becomes the keys' own, closed one."""
    (tmp_path / "keys").mkdir(mode=0o755)
    create(tmp_path / "keys", NAME, NOW)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_other_contents_are_left_alone(tmp_path: Path) -> None:
    """A directory with anything else in it, or a file in its place, is refused and not touched."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "notes").touch()
    (tmp_path / "file").touch()
    for name in ("keys", "file"):
        with pytest.raises(ControllerKeysExistError, match="not an empty directory"):
            create(tmp_path / name, NAME, NOW)
    assert names(tmp_path) == ["file", "keys"]


@pytest.mark.parametrize("name", FILES)
def test_a_partial_directory_is_reported(keys: Path, name: str) -> None:
    """With any one file missing, neither reading nor creation goes on, and the reader names the file."""
    (keys / name).unlink()
    before = contents(keys)
    with pytest.raises(ControllerKeysDamagedError, match=name):
        load(keys)
    with pytest.raises(ControllerKeysDamagedError, match="only some keys"):
        create(keys, NAME, NOW)
    assert contents(keys) == before


def test_absent_keys_are_reported(tmp_path: Path) -> None:
    """A directory that is missing or empty has its own error."""
    with pytest.raises(ControllerKeysMissingError):
        load(tmp_path / "keys")
    with pytest.raises(ControllerKeysMissingError):
        load(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_keys_of_another_controller_are_noticed(keys: Path, tmp_path: Path, name: str) -> None:
    """A file that was exchanged for another controller's is noticed where it has a counterpart."""
    create(tmp_path / "other", NAME, NOW)
    shutil.copy2(tmp_path / "other" / name, keys / name)
    if name == "log.key":
        load(keys)
        return
    with pytest.raises(ControllerKeysDamagedError, match="does not fit"):
        load(keys)


@pytest.mark.parametrize("name", PRIVATE)
def test_loose_private_files_are_refused(keys: Path, name: str) -> None:
    """A private key that others can read stops the controller."""
    (keys / name).chmod(0o640)
    with pytest.raises(KeyFilePermissionsError, match=f"chmod 600 {keys / name}"):
        load(keys)


def test_a_loose_directory_is_refused(keys: Path) -> None:
    """A directory that others can enter stops the controller."""
    keys.chmod(0o755)
    with pytest.raises(KeyFilePermissionsError, match="chmod 700"):
        load(keys)


@pytest.mark.parametrize("name", FILES)
def test_garbage_is_refused(keys: Path, name: str) -> None:
    """A file that holds garbage stops the controller with an error that names it."""
    (keys / name).write_bytes(b"\xff\xfegarbage")
    with pytest.raises((ControllerKeysDamagedError, KeyFileRefusedError), match=name):
        load(keys)


STEPS = [
    "create_root",
    "create_tls_key",
    "create_ssh_key",
    "create_log_key",
    "create_public",
    "_move_into_place",
]


@pytest.mark.parametrize("step", STEPS)
def test_a_creation_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Whatever step of a creation fails, no directory remains, and the next creation succeeds."""

    def fail(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(controller_keys, step, fail)
    with pytest.raises(OSError, match="No space"):
        create(tmp_path / "keys", NAME, NOW)
    monkeypatch.undo()
    assert names(tmp_path) == []
    create(tmp_path / "keys", NAME, NOW)


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_leaves_no_keys(tmp_path: Path, step: str) -> None:
    """A process that dies within a creation leaves no keys in place, and the next creation succeeds."""
    _run_until_crash(lambda: create(tmp_path / "keys", NAME, NOW), step)
    assert not (tmp_path / "keys").exists()
    create(tmp_path / "keys", NAME, NOW)


def test_a_crash_after_the_rename_leaves_whole_keys(tmp_path: Path) -> None:
    """A process that dies right after the rename leaves keys that can be read."""
    _run_until_crash(lambda: create(tmp_path / "keys", NAME, NOW), "sync_directory")
    load(tmp_path / "keys")


def test_of_many_creators_exactly_one_wins(tmp_path: Path) -> None:
    """Creators that start together leave one set of keys, and all but one are told so."""
    count, roots, refused = 6, list[object](), list[Exception]()
    barrier = threading.Barrier(count)

    def run() -> None:
        barrier.wait()
        try:
            roots.append(create(tmp_path / "keys", NAME, NOW).x509.root)
        except ControllerKeysExistError as error:
            refused.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert roots == [load(tmp_path / "keys").x509.root]
    assert len(refused) == count - 1
    assert names(tmp_path) == ["keys"]


def test_a_relative_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory may be given relative to the current one."""
    monkeypatch.chdir(tmp_path)
    create(Path("keys"), NAME, NOW)
    assert load(Path("keys")).x509.root == load(tmp_path / "keys").x509.root


def _run_until_crash(action: Callable[[], object], step: str) -> None:
    """Run ``action`` in a child process that dies in place of ``step``."""
    child = os.fork()
    if child == 0:
        setattr(controller_keys, step, lambda *_args: os._exit(77))
        action()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77
