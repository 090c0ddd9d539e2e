"""The endpoint's data directory (0700): where everything is, and whose it is.

latchstring.json         says what this is, and the version of its layout
enrolment.json           what the controller answered at the enrolment: names, pinned root, user authority
tunnel.pem               key and certificate of the control channel, one private file
ssh_host_key             the SSH server's key
journal.key              signs the journal
journal.sqlite3          the journal
journal.reserve          room that is kept for the journal's last words on a full disk
access.json              the switch: on or ask. No such file means off.
access.return.json       when an ``off`` that was given a time ends
endpoint.toml            settings of the connection, optional, the customer's to write
policy.toml              the policy, optional, the customer's to write
control.sock             where the running agent listens for commands
lock                     held while the agent runs
"""

import json
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from latchstring.certs.keyfiles import KeyFileError, check_private_directory
from latchstring.endpoint.agent_process import hold_lock
from latchstring.endpoint.errors import DataDirectoryError
from latchstring.endpoint.local.socket_path import SOCKET_NAME

KIND: Final = "latch-endpoint"
FORMAT: Final = 1
MARKER: Final = "latchstring.json"
_MAX_MARKER_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The places within a data directory."""

    path: Path

    @property
    def enrolment(self) -> Path:
        """What the controller answered at the enrolment."""
        return self.path / "enrolment.json"

    @property
    def tunnel(self) -> Path:
        """Key and certificate of the control channel."""
        return self.path / "tunnel.pem"

    @property
    def new_tunnel_key(self) -> Path:
        """A key of the control channel that has no certificate yet."""
        return self.path / "tunnel.key.new"

    @property
    def ssh_host_key(self) -> Path:
        """The SSH server's key."""
        return self.path / "ssh_host_key"

    @property
    def journal_key(self) -> Path:
        """The key that signs the journal."""
        return self.path / "journal.key"

    @property
    def journal(self) -> Path:
        """The journal's database."""
        return self.path / "journal.sqlite3"

    @property
    def journal_reserve(self) -> Path:
        """Room that is kept for the journal."""
        return self.path / "journal.reserve"

    @property
    def access(self) -> Path:
        """The switch."""
        return self.path / "access.json"

    @property
    def access_return(self) -> Path:
        """When a timed ``off`` ends."""
        return self.path / "access.return.json"

    @property
    def settings(self) -> Path:
        """Settings of the connection."""
        return self.path / "endpoint.toml"

    @property
    def policy(self) -> Path:
        """The customer's policy."""
        return self.path / "policy.toml"

    @property
    def socket(self) -> Path:
        """Where the agent listens for commands."""
        return self.path / SOCKET_NAME

    @property
    def lock_file(self) -> Path:
        """Held while the agent runs."""
        return self.path / "lock"

    def lock(self, *, wait_seconds: float = 0.0) -> AbstractContextManager[None]:
        """Hold the directory against every other agent.

        Raises:
            DataDirectoryInUseError: another process held it for ``wait_seconds``.
        """
        return hold_lock(self.lock_file, wait_seconds=wait_seconds)


def marker() -> bytes:
    """Return the contents of the marker file of a new directory."""
    return json.dumps({"kind": KIND, "format": FORMAT}).encode() + b"\n"


def is_enrolled(path: Path) -> bool:
    """Return whether an endpoint lives at ``path``, of whatever version.

    Raises:
        DataDirectoryError: it cannot be read, or belongs to another party.
    """
    return path.is_dir() and _read_marker(path) is not None


def open_directory(path: Path, *, to_run: bool = False) -> DataDirectory:
    """Return the data directory at ``path``, once its marker says that it is an endpoint's, of a layout that we know.

    Args:
        path: where it is.
        to_run: for an agent, which must be its owner; a command may also be root's, and leaves it its owner's.

    Raises:
        DataDirectoryError: it is missing, not ours, or open to others.
    """
    if not path.exists():
        raise DataDirectoryError(
            f"there is no data directory at {path}; enrol this machine with `latch-endpoint enroll CODE --data {path}`"
        )
    if not path.is_dir():
        raise DataDirectoryError(f"{path} is not a directory")
    document = _read_marker(path)
    if document is None:
        raise DataDirectoryError(f"{path} is not the data directory of a {KIND}; nothing was changed")
    version = document.get("format")
    if not isinstance(version, int) or version > FORMAT:
        raise DataDirectoryError(f"{path} was made by a newer latch-endpoint; update this one")
    try:
        check_private_directory(path, root_may=not to_run)
    except KeyFileError as error:
        raise DataDirectoryError(str(error)) from error
    return DataDirectory(Path(os.path.realpath(path)))


def _read_marker(path: Path) -> dict[str, object] | None:
    try:
        document = json.loads((path / MARKER).read_bytes()[:_MAX_MARKER_BYTES])
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise DataDirectoryError(f"{path} belongs to another user; run this as that user, or root") from error
    except (OSError, ValueError) as error:
        raise DataDirectoryError(f"{path / MARKER} cannot be read as the marker of a data directory") from error
    if not isinstance(document, dict) or document.get("kind") != KIND:
        kind = document.get("kind") if isinstance(document, dict) else None
        raise DataDirectoryError(f"{path} is the data directory of {kind!r}, not of {KIND}")
    return document
