"""Key files are whole, private, durable, and never overwritten."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from latchstring.certs import keyfiles
from latchstring.certs.keyfiles import (
    KeyFileExistsError,
    KeyFileMissingError,
    KeyFilePermissionsError,
    KeyFileRefusedError,
    check_private_directory,
    create_private,
    create_public,
    read_private,
    read_public,
    replace_private,
    replace_public,
)

Writer = Callable[[Path, bytes], None]


def mode_of(path: Path) -> int:
    """Return the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def names(directory: Path) -> list[str]:
    """Return the sorted names in a directory."""
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277])
@pytest.mark.parametrize(
    ("write", "mode"),
    [(create_private, 0o600), (replace_private, 0o600), (create_public, 0o644), (replace_public, 0o644)],
)
def test_mode_does_not_depend_on_the_umask(tmp_path: Path, write: Writer, mode: int, umask: int) -> None:
    """A written file has exactly the mode of its kind, and nothing else is left in the directory."""
    before = os.umask(umask)
    try:
        write(tmp_path / "file", b"data")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "file") == mode
    assert (tmp_path / "file").read_bytes() == b"data"
    assert names(tmp_path) == ["file"]


def test_private_from_birth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the moment when the secret is written, nobody else can open the temporary file."""
    modes: list[int] = []
    real_fsync = os.fsync

    def observe(descriptor: int) -> None:
        modes.extend(mode_of(path) for path in tmp_path.iterdir())
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", observe)
    before = os.umask(0)
    try:
        create_private(tmp_path / "key", b"secret")
    finally:
        os.umask(before)
    assert set(modes) == {0o600}


def test_create_never_overwrites(tmp_path: Path) -> None:
    """An existing file, even an empty one or a dangling link, stays as it was."""
    (tmp_path / "key").write_bytes(b"")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("key", "link"):
        with pytest.raises(KeyFileExistsError, match=name):
            create_private(tmp_path / name, b"new")
    assert (tmp_path / "key").read_bytes() == b""
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "nowhere").exists()
    assert names(tmp_path) == ["key", "link"]


def test_of_many_creators_exactly_one_wins(tmp_path: Path) -> None:
    """Creators that start together leave one whole file, and all but one are told so."""
    count, outcomes = 16, list[bytes | None]()
    barrier = threading.Barrier(count)

    def create(number: int) -> None:
        data = bytes([number]) * 1000
        barrier.wait()
        try:
            create_private(tmp_path / "key", data)
        except KeyFileExistsError:
            outcomes.append(None)
        else:
            outcomes.append(data)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [data for data in outcomes if data is not None]
    assert len(outcomes) == count
    assert winners == [(tmp_path / "key").read_bytes()]
    assert names(tmp_path) == ["key"]


@pytest.mark.parametrize("step", ["open", "fchmod", "fsync", "link"])
def test_create_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Whatever system call of a creation fails, neither the file nor a temporary one remains."""
    monkeypatch.setattr(os, step, _no_space)
    with pytest.raises(OSError, match="No space"):
        create_private(tmp_path / "key", b"secret")
    monkeypatch.undo()
    assert names(tmp_path) == []


@pytest.mark.parametrize("step", ["open", "fchmod", "fsync", "replace"])
def test_replace_that_fails_keeps_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Whatever system call of a replacement fails, the old file is as it was."""
    create_private(tmp_path / "key", b"old")
    monkeypatch.setattr(Path if step == "replace" else os, step, _no_space)
    with pytest.raises(OSError, match="No space"):
        replace_private(tmp_path / "key", b"new")
    monkeypatch.undo()
    assert (tmp_path / "key").read_bytes() == b"old"
    assert names(tmp_path) == ["key"]


@pytest.mark.parametrize("step", ["fchmod", "fsync", "link"])
def test_crash_during_create(tmp_path: Path, step: str) -> None:
    """A process that dies before the link leaves no key, and a later creation succeeds."""
    _run_until_crash(lambda: create_private(tmp_path / "key", b"first"), step)
    assert not (tmp_path / "key").exists()
    assert all(mode_of(path) == 0o600 for path in tmp_path.iterdir())
    create_private(tmp_path / "key", b"second")
    assert read_private(tmp_path / "key") == b"second"


def test_crash_after_link(tmp_path: Path) -> None:
    """A process that dies after the link leaves the whole key, which is then never overwritten."""
    _run_until_crash(lambda: create_private(tmp_path / "key", b"first"), "unlink")
    assert read_private(tmp_path / "key") == b"first"
    with pytest.raises(KeyFileExistsError):
        create_private(tmp_path / "key", b"second")


@pytest.mark.parametrize("step", ["fchmod", "fsync", "replace"])
def test_crash_during_replace(tmp_path: Path, step: str) -> None:
    """A process that dies before the rename leaves the old file whole."""
    create_private(tmp_path / "key", b"old")
    _run_until_crash(lambda: replace_private(tmp_path / "key", b"new"), step)
    assert read_private(tmp_path / "key") == b"old"


def test_directory_is_flushed_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data is flushed before the name appears, and the directory after it."""
    steps: list[str] = []
    real_fsync = os.fsync

    def observe(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append(f"{kind} flushed, name {'there' if (tmp_path / 'key').exists() else 'absent'}")
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", observe)
    create_private(tmp_path / "key", b"secret")
    assert steps == ["file flushed, name absent", "directory flushed, name there"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777])
def test_loose_modes_are_refused(tmp_path: Path, mode: int) -> None:
    """A private file that others can reach is refused; the error names path, mode and remedy."""
    path = tmp_path / "key"
    create_private(path, b"secret")
    path.chmod(mode)
    with pytest.raises(KeyFilePermissionsError) as refused:
        read_private(path)
    assert f"{path} has mode {mode:04o}" in str(refused.value)
    assert f"chmod 600 {path}" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_tight_modes_are_accepted(tmp_path: Path, mode: int) -> None:
    """A private file that only its owner reaches is read."""
    create_private(tmp_path / "key", b"secret")
    (tmp_path / "key").chmod(mode)
    assert read_private(tmp_path / "key") == b"secret"


def test_foreign_owner_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A private file or directory of another user is refused, whatever its mode."""
    create_private(tmp_path / "key", b"secret")
    tmp_path.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(KeyFilePermissionsError, match="belongs to user"):
        read_private(tmp_path / "key")
    with pytest.raises(KeyFilePermissionsError, match="belongs to user"):
        check_private_directory(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_may_work_for_a_directorys_owner(tmp_path: Path) -> None:
    """Where it may, root reads what belongs to a directory's owner, and what it makes there becomes theirs."""
    create_private(tmp_path / "key", b"secret")
    tmp_path.chmod(0o700)
    os.chown(tmp_path / "key", 12345, 12345)
    with pytest.raises(KeyFilePermissionsError, match="run this as that user"):
        read_private(tmp_path / "key")
    os.chown(tmp_path, 12345, 12345)
    assert read_private(tmp_path / "key") == b"secret"
    with pytest.raises(KeyFilePermissionsError, match="run this as that user"):
        check_private_directory(tmp_path)
    check_private_directory(tmp_path, root_may=True)
    replace_private(tmp_path / "key", b"another")
    create_private(tmp_path / "new", b"secret")
    assert {(tmp_path / name).stat().st_uid for name in ("key", "new")} == {12345}
    tmp_path.chmod(0o750)
    with pytest.raises(KeyFilePermissionsError, match="chmod 700"):
        check_private_directory(tmp_path, root_may=True)


def test_public_files_must_not_be_writable_by_others(tmp_path: Path) -> None:
    """A certificate may be read by all, but not changed by others."""
    create_public(tmp_path / "root.pem", b"root")
    assert read_public(tmp_path / "root.pem") == b"root"
    (tmp_path / "root.pem").chmod(0o664)
    with pytest.raises(KeyFilePermissionsError, match="chmod 644"):
        read_public(tmp_path / "root.pem")


@pytest.mark.parametrize("read", [read_private, read_public])
def test_what_is_no_file_is_refused(tmp_path: Path, read: Callable[[Path], bytes]) -> None:
    """Nothing, a directory, a FIFO without a writer and an endless file are refused at once."""
    with pytest.raises(KeyFileMissingError):
        read(tmp_path / "absent")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo", 0o600)
    for name in ("directory", "fifo"):
        with pytest.raises(KeyFileRefusedError, match="not a regular file"):
            read(tmp_path / name)
    with pytest.raises(KeyFileRefusedError):
        read(tmp_path / "fifo" / "below")
    create_private(tmp_path / "long", b"x" * keyfiles.MAX_BYTES)
    with (tmp_path / "long").open("ab") as file:
        file.write(b"x")
    with pytest.raises(KeyFileRefusedError, match="longer"):
        read(tmp_path / "long")


def test_too_much_is_not_written(tmp_path: Path) -> None:
    """Data beyond the limit of a key file is refused before anything is written."""
    with pytest.raises(ValueError, match="limit"):
        create_private(tmp_path / "key", b"x" * (keyfiles.MAX_BYTES + 1))
    assert names(tmp_path) == []


def test_private_directory(tmp_path: Path) -> None:
    """A directory must exist, be one, and be closed to others."""
    check = check_private_directory
    with pytest.raises(KeyFileMissingError):
        check(tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(KeyFileRefusedError, match="not a directory"):
        check(tmp_path / "file")
    with pytest.raises(KeyFileRefusedError, match="cannot be read"):
        check(tmp_path / "file" / "below")
    (tmp_path / "open").mkdir(mode=0o750)
    with pytest.raises(KeyFilePermissionsError, match="chmod 700"):
        check(tmp_path / "open")
    (tmp_path / "closed").mkdir(mode=0o700)
    check(tmp_path / "closed")


def _no_space(*_args: object, **_kwargs: object) -> None:
    raise OSError(28, "No space left on device")


def _run_until_crash(action: Callable[[], None], step: str) -> None:
    """Run ``action`` in a child process that dies in place of the system call ``step``."""
    child = os.fork()
    if child == 0:
        target = Path if step in {"replace", "unlink"} else os
        setattr(target, step, lambda *_args, **_kwargs: os._exit(77))
        action()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77
