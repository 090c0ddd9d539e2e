"""What the customer is told about the sessions' account."""

import os
from pathlib import Path

import pytest

from latchstring.endpoint.data_directory import DataDirectory
from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.sandbox.account import Account
from latchstring.endpoint.sandbox.errors import SandboxUnavailableError
from latchstring.endpoint.sandbox.writable import find_writable_ancestor
from latchstring.endpoint.sessions_account import (
    account_warning,
    known_sessions_account,
    sessions_account,
)

ROOT = Account("root", 0, 0, (), "/root", "/bin/sh")
SUPPORT = Account("support", 54321, 54321, (54322,), "/", "/bin/sh")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory below directories that only their owner can write to."""
    tmp_path.chmod(0o755)
    parent = tmp_path / "parent"
    parent.mkdir(mode=0o755)
    (parent / "data").mkdir(mode=0o700)
    return parent / "data"


def test_root_is_told(data: Path) -> None:
    """Sessions that run as root are one warning that names the key, and nothing else."""
    line = account_warning(ROOT, DataDirectory(data))
    assert line is not None
    assert "sessions run as root" in line
    assert "run_as" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("mode", "writable"), [(0o755, False), (0o757, True), (0o775, False), (0o1777, False), (0o777, True)]
)
def test_a_directory_above_that_others_can_write(data: Path, mode: int, *, writable: bool) -> None:
    """A directory above the data directory that the account can write to is named; a sticky one is safe."""
    data.parent.chmod(mode)
    assert (find_writable_ancestor(data, SUPPORT) is not None) is writable
    assert (account_warning(SUPPORT, DataDirectory(data)) is not None) is writable


def test_groups_and_owners(data: Path) -> None:
    """What the account's groups can write to counts, and so does what the account owns."""
    status = data.parent.stat()
    data.parent.chmod(0o775)
    member = Account("support", 54321, 54321, (status.st_gid,), "/", "/bin/sh")
    assert find_writable_ancestor(data, member) == data.parent
    data.parent.chmod(0o555)
    if status.st_uid:
        owner = Account("support", status.st_uid, 54321, (), "/", "/bin/sh")
        assert find_writable_ancestor(data, owner) == data.parent


def test_an_account_that_does_not_exist() -> None:
    """No such account is no warning here: the sandbox's own test says that no session can be opened."""
    assert known_sessions_account(Policy(run_as="nobody-is-called-this")) is None


@pytest.mark.parametrize(("uid", "given"), [(0, False), (os.geteuid() or 65534, True)])
def test_root_only_by_the_policys_word(monkeypatch: pytest.MonkeyPatch, uid: int, *, given: bool) -> None:
    """Without a word of the policy, sessions run as the agent's account, and as root never."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    if given:
        assert sessions_account(Policy()).uid == uid
    else:
        with pytest.raises(SandboxUnavailableError, match='run_as = "NAME"'):
            sessions_account(Policy())
        assert sessions_account(Policy(run_as="root")).uid == 0
