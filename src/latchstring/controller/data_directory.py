"""The controller's data directory (0700): where everything is, whose it is, and who is using it.

    latchstring.json     says what this is, and the version of its layout; written last, so it marks a finished ``init``
    controller.toml      settings
    keys/                the authorities and the log's key
    controller.sqlite3   state and logs
    server.pem           the listeners' key and certificate, made anew by ``serve``
    addresses.json       where ``serve`` listens, for codes that ``invite`` makes
    lock                 held while ``serve`` or ``init`` runs; its content is a process id

Errors, each with one line that says what to do::

    DataDirectoryError
    ├── DataDirectoryMissingError   there is none
    ├── DataDirectoryForeignError   something else is there, or another kind of directory of ours
    ├── DataDirectoryNewerError     a newer version made it
    ├── DataDirectoryExistsError    ``init`` was there before
    └── DataDirectoryInUseError     another process holds it
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from latchstring.certs.keyfiles import PRIVATE_DIRECTORY_MODE, PRIVATE_MODE, create_private, replace_private
from latchstring.controller.addresses import Address, parse_address
from latchstring.controller.setup_error import SetupError

KIND: Final = "latch-controller"
FORMAT: Final = 1
_MAX_MARKER_BYTES: Final = 4096
_MARKER: Final = "latchstring.json"
_LOCK: Final = "lock"


class DataDirectoryError(SetupError):
    """The data directory cannot be used."""


class DataDirectoryMissingError(DataDirectoryError):
    """There is no data directory."""


class DataDirectoryForeignError(DataDirectoryError):
    """What is there is not a controller's."""


class DataDirectoryNewerError(DataDirectoryError):
    """A newer version of Latchstring made it."""


class DataDirectoryExistsError(DataDirectoryError):
    """It holds a controller already."""


class DataDirectoryInUseError(DataDirectoryError):
    """Another process is using it."""


@dataclass(frozen=True, slots=True)
class BoundAddresses:
    """Where the listeners of a running controller are."""

    people: Address
    tunnel: Address
    relay: Address


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The places within a data directory."""

    path: Path

    @property
    def settings(self) -> Path:
        """The settings' file."""
        return self.path / "controller.toml"

    @property
    def keys(self) -> Path:
        """The directory of the controller's keys."""
        return self.path / "keys"

    @property
    def database(self) -> Path:
        """The embedded database."""
        return self.path / "controller.sqlite3"

    @property
    def server_credentials(self) -> Path:
        """The listeners' own key and certificate, in one private file."""
        return self.path / "server.pem"

    @property
    def new_server_key(self) -> Path:
        """A server key that has no certificate yet."""
        return self.path / "server.key.new"

    def write_bound(self, addresses: BoundAddresses) -> None:
        """Note where the listeners are, for other processes."""
        document = {name: str(getattr(addresses, name)) for name in ("people", "tunnel", "relay")}
        replace_private(self.path / "addresses.json", json.dumps(document).encode() + b"\n")

    def read_bound(self) -> BoundAddresses | None:
        """Return where the listeners are, or were when ``serve`` last ran; None if that is not known."""
        try:
            document = json.loads((self.path / "addresses.json").read_bytes()[:_MAX_MARKER_BYTES])
            return BoundAddresses(**{name: parse_address(document[name]) for name in ("people", "tunnel", "relay")})
        except (OSError, ValueError, TypeError, KeyError):
            return None


def open_directory(path: Path) -> DataDirectory:
    """Return the data directory at ``path`` once its marker says that it is a controller's, of a layout that we know.

    Raises:
        DataDirectoryError: the subclass says why not.
    """
    if path.exists() and not path.is_dir():
        raise DataDirectoryForeignError(f"{path} is not a directory")
    if not path.is_dir():
        raise DataDirectoryMissingError(
            f"there is no data directory at {path}; make one with `latch-controller init --data {path} …`"
        )
    marker = _read_marker(path)
    if marker is None:
        raise DataDirectoryForeignError(_unfinished_or_foreign(path))
    if marker.get("kind") != KIND:
        raise DataDirectoryForeignError(f"{path} is the data directory of {marker.get('kind')!r}, not of {KIND}")
    version = marker.get("format")
    if not isinstance(version, int) or version > FORMAT:
        raise DataDirectoryNewerError(f"{path} was made by a newer latch-controller; update this one")
    return DataDirectory(path)


@contextlib.contextmanager
def create_directory(path: Path) -> Iterator[DataDirectory]:
    """Fill a new data directory; it counts as one only when the block ends without an error.

    If the block fails, what it made is removed. If the process dies in it, :func:`open_directory` says so later.

    Raises:
        DataDirectoryExistsError: a controller is there already; it was not touched.
        DataDirectoryForeignError: something else is there; it was not touched.
        DataDirectoryInUseError: another ``init`` is at work there.
    """
    _check_free(path)
    made = not path.exists()
    path.mkdir(mode=PRIVATE_DIRECTORY_MODE, parents=True, exist_ok=True)
    path.chmod(PRIVATE_DIRECTORY_MODE)
    try:
        with lock(path):
            _check_free(path)
            yield DataDirectory(path)
            marker = json.dumps({"kind": KIND, "format": FORMAT}).encode() + b"\n"
            create_private(path / _MARKER, marker)
    except DataDirectoryError:
        raise
    except BaseException:
        _clear(path, remove=made)
        raise


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the data directory against every other ``serve`` and ``init``; the kernel lets go if this process dies.

    Raises:
        DataDirectoryInUseError: another process holds it.
    """
    descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_MODE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            raise DataDirectoryInUseError(
                f"{path} is in use by another process (pid {holder or 'unknown'}); stop that one first"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _read_marker(path: Path) -> dict[str, object] | None:
    try:
        document = json.loads((path / _MARKER).read_bytes()[:_MAX_MARKER_BYTES])
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise DataDirectoryForeignError(f"{path} belongs to another user: run as the one who made it") from error
    except (OSError, ValueError) as error:
        raise DataDirectoryForeignError(f"{path / _MARKER} cannot be read as the marker of a data directory") from error
    return document if isinstance(document, dict) else {}


def _check_free(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise DataDirectoryForeignError(f"{path} is not a directory; nothing was changed")
    marker = _read_marker(path)
    if marker is not None and marker.get("kind") == KIND:
        raise DataDirectoryExistsError(f"{path} holds a controller already; nothing was changed")
    if path.is_dir() and any(entry.name != _LOCK for entry in path.iterdir()):
        raise DataDirectoryForeignError(_unfinished_or_foreign(path))


def _unfinished_or_foreign(path: Path) -> str:
    if (path / _LOCK).exists():
        return f"{path} was left unfinished by an `init` that was interrupted: empty it, and run `init` again"
    return f"{path} is not the data directory of a {KIND}; nothing was changed"


def _clear(path: Path, *, remove: bool) -> None:
    """Undo a failed ``init``: only what stands in a directory that was empty before."""
    for entry in path.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    if remove:
        path.rmdir()
