"""What runs in the sandbox for each kind of request."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from latchstring.endpoint.sandbox.account import Account
from latchstring.endpoint.ssh.ports import ChannelRefusal, RefusedError

SFTP_SERVERS: Final = (
    Path("/usr/lib/openssh/sftp-server"),
    Path("/usr/libexec/openssh/sftp-server"),
    Path("/usr/lib/ssh/sftp-server"),
    Path("/usr/libexec/sftp-server"),
)
"""Where Debian, Fedora, Arch and the BSD-like keep it."""

_DENIED_WITHOUT_READ: Final = "read,opendir,readdir,readlink,copy-data"


@dataclass(frozen=True, slots=True)
class Program:
    """A program to start.

    Attributes:
        path: absolute.
        argv: the first names the program.
    """

    path: str
    argv: tuple[str, ...]


def login_shell(account: Account) -> Program:
    """Return the account's shell as a login shell, which a leading hyphen says (login(1))."""
    return Program(account.shell, (f"-{Path(account.shell).name}",))


def shell_command(account: Account, command: str) -> Program:
    """Return the account's shell with one command line, as sshd does."""
    return Program(account.shell, (Path(account.shell).name, "-c", command))


def sftp_server(*, may_read: bool, may_write: bool, candidates: tuple[Path, ...] = SFTP_SERVERS) -> Program:
    """Return the system's SFTP server, limited to what is granted.

    Raises:
        RefusedError: this machine has none.
    """
    path = next((path for path in candidates if os.access(path, os.X_OK)), None)
    if path is None:
        raise RefusedError(
            ChannelRefusal.PROGRAM_MISSING,
            "this machine has no sftp-server; its package openssh-sftp-server is missing",
        )
    limits: tuple[str, ...] = ()
    if not may_write:
        limits = ("-R",)
    elif not may_read:
        limits = ("-P", _DENIED_WITHOUT_READ)
    return Program(str(path), (path.name, *limits))
