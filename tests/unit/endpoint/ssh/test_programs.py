"""What runs for a request."""

from pathlib import Path

import pytest

from latchstring.endpoint.sandbox.account import Account
from latchstring.endpoint.ssh.ports import ChannelRefusal, RefusedError
from latchstring.endpoint.ssh.programs import Program, login_shell, sftp_server, shell_command

ACCOUNT = Account(name="ada", uid=1000, gid=1000, groups=(1000,), home="/home/ada", shell="/bin/bash")  # noqa: S604 - a field of the password database


def test_a_shell_is_a_login_shell() -> None:
    """The shell is named with a hyphen, which makes it a login shell."""
    assert login_shell(ACCOUNT) == Program("/bin/bash", ("-bash",))


def test_a_command_line_goes_to_the_accounts_shell_unchanged() -> None:
    """The command line is one argument; nobody splits or quotes it."""
    assert shell_command(ACCOUNT, "a 'b  c'; $d") == Program("/bin/bash", ("bash", "-c", "a 'b  c'; $d"))


@pytest.mark.parametrize(
    ("may_read", "may_write", "limits"),
    [(True, True, ()), (True, False, ("-R",)), (False, True, ("-P", "read,opendir,readdir,readlink,copy-data"))],
)
def test_the_sftp_server_is_limited(
    tmp_path: Path, *, may_read: bool, may_write: bool, limits: tuple[str, ...]
) -> None:
    """Without a capability the server refuses the requests for it."""
    server = tmp_path / "sftp-server"
    server.touch(mode=0o755)
    program = sftp_server(may_read=may_read, may_write=may_write, candidates=(tmp_path / "none", server))
    assert program == Program(str(server), ("sftp-server", *limits))


def test_a_missing_sftp_server_is_named(tmp_path: Path) -> None:
    """A machine without the program refuses, and says which package is missing."""
    with pytest.raises(RefusedError, match="openssh-sftp-server") as raised:
        sftp_server(may_read=True, may_write=True, candidates=(tmp_path / "none",))
    assert raised.value.reason is ChannelRefusal.PROGRAM_MISSING
