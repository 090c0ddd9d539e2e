"""The command line of ``bwrap``."""

import os
import shutil
from pathlib import Path

import pytest

from latchstring.endpoint.sandbox import bubblewrap
from latchstring.endpoint.sandbox.account import Account
from latchstring.endpoint.sandbox.errors import SandboxUnavailableError
from latchstring.endpoint.sandbox.filesystem import pinned_ancestors
from latchstring.endpoint.sandbox.spec import SandboxSpec

OTHER = Account(name="ada", uid=os.geteuid() + 1000, gid=1000, groups=(), home="/home/ada", shell="/bin/bash")  # noqa: S604 - a field of the password database


def masked_in(command: list[str]) -> list[str]:
    """Return the directories that a command line hides, without the doors of this machine."""
    hidden = [command[index + 1] for index, word in enumerate(command) if word == "--remount-ro"]
    return [place for place in hidden if not place.startswith(("/run/", "/var/lib/"))]


def test_every_sandbox_is_confined(tmp_path: Path) -> None:
    """Namespaces, the death with the parent, dropped capabilities and masks are on every command line."""
    command = bubblewrap.arguments(OTHER, SandboxSpec(masked=(tmp_path,)), 7, 8)
    for word in ("--unshare-pid", "--as-pid-1", "--unshare-ipc", "--die-with-parent"):
        assert word in command
    assert command[command.index("--cap-drop") + 1] == "ALL"
    assert masked_in(command) == [str(tmp_path.resolve())]
    assert "--new-session" not in command


def test_a_mask_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    """``bwrap`` would create it on the host, so it is refused by name."""
    with pytest.raises(SandboxUnavailableError, match="missing"):
        bubblewrap.arguments(OTHER, SandboxSpec(masked=(tmp_path / "missing",)), 7, 8)
    assert not (tmp_path / "missing").exists()


def test_a_mask_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """Whoever can replace the link would decide what is hidden, so nothing starts."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(SandboxUnavailableError, match="symbolic link"):
        bubblewrap.arguments(OTHER, SandboxSpec(masked=(tmp_path / "link",)), 7, 8)


def test_a_mask_below_a_link_hides_what_it_points_to(tmp_path: Path) -> None:
    """A symbolic link above is followed, so that it is the directory itself that is hidden."""
    (tmp_path / "real" / "data").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    command = bubblewrap.arguments(OTHER, SandboxSpec(masked=(tmp_path / "link" / "data",)), 7, 8)
    assert masked_in(command) == [str((tmp_path / "real" / "data").resolve())]


def test_ancestors_are_pinned_once_and_outermost_first() -> None:
    """What two masks share is bound once, and no bind covers an earlier one; ``/`` and the masks are left out."""
    hidden = [Path("/var/lib/a/data"), Path("/var/lib/b"), Path("/home")]
    assert pinned_ancestors(hidden) == [Path("/var"), Path("/var/lib"), Path("/var/lib/a")]


def test_masks_cover_what_is_bound_before(tmp_path: Path) -> None:
    """Every bind comes before the first mask, the ones inside ``/proc`` after it is mounted."""
    command = bubblewrap.arguments(OTHER, SandboxSpec(masked=(tmp_path,)), 7, 8)
    kinds = ["--dev-bind", "--dev", "--proc", "--ro-bind-try", "--remount-ro"]
    order = [word for word in command if word in kinds]
    assert sorted(order, key=kinds.index) == order


def test_a_missing_bubblewrap_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``bwrap`` nothing starts, and the message names the package."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(SandboxUnavailableError, match="install the package bubblewrap"):
        bubblewrap.program()
