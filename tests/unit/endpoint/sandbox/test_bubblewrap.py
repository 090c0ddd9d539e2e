"""The command line of ``bwrap``."""

import os
import shutil
from pathlib import Path

import pytest

from latchstring.endpoint.sandbox import bubblewrap
from latchstring.endpoint.sandbox.account import Account
from latchstring.endpoint.sandbox.errors import SandboxUnavailableError

OTHER = Account(name="ada", uid=os.geteuid() + 1000, gid=1000, groups=(), home="/home/ada", shell="/bin/bash")  # noqa: S604 - a field of the password database


def test_every_sandbox_is_confined(tmp_path: Path) -> None:
    """Namespaces, the death with the parent, dropped capabilities and masks are on every command line."""
    command = bubblewrap.arguments(OTHER, (tmp_path,), 7)
    for word in ("--unshare-pid", "--as-pid-1", "--unshare-ipc", "--die-with-parent"):
        assert word in command
    assert command[command.index("--cap-drop") + 1] == "ALL"
    assert command[command.index("--tmpfs") + 1] == str(tmp_path.resolve())
    assert "--new-session" not in command


def test_a_mask_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    """``bwrap`` would create it on the host, so it is refused by name."""
    with pytest.raises(SandboxUnavailableError, match="missing"):
        bubblewrap.arguments(OTHER, (tmp_path / "missing",), 7)
    assert not (tmp_path / "missing").exists()


def test_a_mask_through_a_link_hides_what_it_points_to(tmp_path: Path) -> None:
    """A symbolic link is followed, so that it is the directory itself that is hidden."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    command = bubblewrap.arguments(OTHER, (tmp_path / "link",), 7)
    assert command[command.index("--tmpfs") + 1] == str((tmp_path / "real").resolve())


def test_a_missing_bubblewrap_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``bwrap`` nothing starts, and the message names the package."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(SandboxUnavailableError, match="install the package bubblewrap"):
        bubblewrap.program()
