"""Durable, private files for keys, and the public files beside them. Standard library only.

A file appears whole or not at all: it is written under a temporary name in the same directory, with its final mode from
birth, flushed to disk, then linked (create) or renamed (replace) into place, and the directory is flushed too. After a
crash a temporary file ``.<name>.<random>.tmp`` may remain; nothing reads it, and it has the mode of the real one.

    KeyFileError
    ├── KeyFileExistsError          something is there already; it is never overwritten
    ├── KeyFileMissingError         nothing is there
    └── KeyFileRefusedError         it is there, but must not be used
        └── KeyFilePermissionsError others could read or change it
"""

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
PRIVATE_DIRECTORY_MODE: Final = 0o700
MAX_BYTES: Final = 64 * 1024

_ROOT: Final = 0
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class KeyFileError(Exception):
    """A key file cannot be used or made."""


class KeyFileExistsError(KeyFileError):
    """A file of this name exists; it is never overwritten."""


class KeyFileMissingError(KeyFileError):
    """No file of this name exists."""


class KeyFileRefusedError(KeyFileError):
    """The file exists, but must not be used."""


class KeyFilePermissionsError(KeyFileRefusedError):
    """Another user could read or change the file."""


def create_private(path: Path, data: bytes) -> None:
    """Write a new file with mode 0600. Of several creators exactly one wins.

    Raises:
        KeyFileExistsError: ``path`` exists; it was not touched.
        OSError: the file system refused; ``path`` does not exist, or it is there whole but may not survive a loss of
            power (the directory could not be flushed).
    """
    _create(path, data, PRIVATE_MODE)


def create_public(path: Path, data: bytes) -> None:
    """As :func:`create_private`, with mode 0644, for what is no secret (certificates, public keys)."""
    _create(path, data, PUBLIC_MODE)


def replace_private(path: Path, data: bytes) -> None:
    """Write a file with mode 0600 in the place of the old one, if any.

    Raises:
        OSError: the file system refused; the old file is as it was, or the new one is in its place but may not survive
            a loss of power (the directory could not be flushed).
    """
    _replace(path, data, PRIVATE_MODE)


def replace_public(path: Path, data: bytes) -> None:
    """As :func:`replace_private`, with mode 0644, for what is no secret."""
    _replace(path, data, PUBLIC_MODE)


def read_private(path: Path) -> bytes:
    """Return what a private file holds, if only we can read and change it.

    Raises:
        KeyFileMissingError: it does not exist.
        KeyFilePermissionsError: its mode or owner lets others in.
        KeyFileRefusedError: it is not a regular file, is too long, or cannot be read.
    """
    return _read(path, private=True)


def read_public(path: Path) -> bytes:
    """Return what a public file holds. Others may read it, but only its owner may change it.

    Raises:
        KeyFileMissingError: it does not exist.
        KeyFilePermissionsError: others can change it.
        KeyFileRefusedError: it is not a regular file, is too long, or cannot be read.
    """
    return _read(path, private=False)


def check_private(path: Path) -> None:
    """Raise as :func:`read_private` would, for files that a library opens by itself."""
    read_private(path)


def check_private_directory(path: Path, *, root_may: bool = False) -> None:
    """Check that only we can enter or change a directory.

    Args:
        path: of the directory.
        root_may: whether root may use one that belongs to somebody else, who then decides what is in it.

    Raises:
        KeyFileMissingError: it does not exist.
        KeyFilePermissionsError: its mode or owner lets others in.
        KeyFileRefusedError: it is not a directory.
    """
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise KeyFileMissingError(f"directory {path} does not exist") from error
    except OSError as error:
        raise KeyFileRefusedError(f"directory {path} cannot be read: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        raise KeyFileRefusedError(f"{path} is not a directory")
    if not (root_may and os.geteuid() == _ROOT):
        _check_owner(path, status)
    if status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise KeyFilePermissionsError(f"directory {path} has mode {mode:04o}, so others can enter it: chmod 700 {path}")


def sync_directory(path: Path) -> None:
    """Flush a directory, so that names made, changed or removed in it survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create(path: Path, data: bytes, mode: int) -> None:
    temporary = _write_temporary(path, data, mode)
    try:
        # link() refuses an existing name in the same step that makes the new one; rename() would replace it.
        os.link(temporary, path)
    except FileExistsError as error:
        raise KeyFileExistsError(f"{path} exists already, and is never overwritten") from error
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def _replace(path: Path, data: bytes, mode: int) -> None:
    temporary = _write_temporary(path, data, mode)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _write_temporary(path: Path, data: bytes, mode: int) -> Path:
    """Write ``data`` durably under a fresh name beside ``path``."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"{path} would hold {len(data)} bytes; the limit is {MAX_BYTES}")
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - only the builtin takes a descriptor
            os.fchmod(descriptor, mode)  # the umask may have taken too much
            give_to_owner(descriptor, path.parent)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    return temporary


def _read(path: Path, *, private: bool) -> bytes:
    try:
        # Without O_NONBLOCK, opening a FIFO would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise KeyFileMissingError(f"{path} does not exist") from error
    except OSError as error:
        raise KeyFileRefusedError(f"{path} cannot be read: {error.strerror}") from error
    try:
        # The open file is checked, not its name: what was checked is what is read.
        _check_file(path, os.fstat(descriptor), private=private)
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise KeyFileRefusedError(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        raise KeyFileRefusedError(f"{path} is longer than {MAX_BYTES} bytes")
    return data


def _check_file(path: Path, status: os.stat_result, *, private: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileRefusedError(f"{path} is not a regular file")
    mode = stat.S_IMODE(status.st_mode)
    if private:
        if not _is_of_its_directory(path, status):
            _check_owner(path, status)
        if mode & _OTHERS:
            raise KeyFilePermissionsError(
                f"key file {path} has mode {mode:04o}, so others can reach it: chmod 600 {path}"
            )
    elif mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise KeyFilePermissionsError(f"{path} has mode {mode:04o}, so others can change it: chmod 644 {path}")


def _is_of_its_directory(path: Path, status: os.stat_result) -> bool:
    """Return whether we are root and the file belongs to whom its directory belongs to, whom root may work for."""
    return os.geteuid() == _ROOT and status.st_uid == path.parent.stat().st_uid


def _check_owner(path: Path, status: os.stat_result) -> None:
    user = os.geteuid()
    if status.st_uid != user:
        hint = "run this as that user" if user == _ROOT else f"run this as that user, or chown {user} {path}"
        raise KeyFilePermissionsError(f"{path} belongs to user {status.st_uid} and we run as {user}: {hint}")


def give_to_owner(descriptor: int, directory: Path) -> None:
    """Where root works for the owner of a directory, let what it makes there be that owner's.

    Raises:
        OSError: it cannot be given.
    """
    if os.geteuid() == _ROOT:
        owner = directory.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
