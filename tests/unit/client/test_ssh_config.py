"""The block for ``ssh``, as ``ssh -G`` understands it, and its installation."""

import stat
import subprocess
from pathlib import Path

import pytest

from latchstring.client.errors import HomeError
from latchstring.client.home import Home
from latchstring.client.ssh_config import install, ssh_config_block, uninstall
from unit.client.conftest import Latch
from unit.client.fake_controller import FakeController

PROGRAM = Path("/opt/latch string/bin/latch")
WEAKENING = """
Host *
    ForwardAgent yes
    StrictHostKeyChecking no
    UserKnownHostsFile /tmp/other
    IdentityFile /tmp/other
    ProxyCommand other
    Compression yes
"""


def options(block: str, host: str, tmp_path: Path) -> dict[str, str]:
    """Return what the real ``ssh`` makes of ``block``, followed by a user's own settings, for ``host``."""
    config = tmp_path / "config under test"
    config.write_text(block + WEAKENING)
    shown = subprocess.run(["ssh", "-G", "-F", str(config), host], capture_output=True, text=True, check=True).stdout
    lines = [line.split(" ", 1) for line in shown.splitlines() if " " in line]
    return dict(reversed(lines))


@pytest.mark.parametrize("directory", ["latch", "a space", "100%", "it's"])
def test_block(tmp_path: Path, directory: str) -> None:
    """The block says what it should whatever the home is called, and a user's own settings cannot weaken it."""
    home = Home(tmp_path / directory)
    block = ssh_config_block(home, PROGRAM, default_home=Path("/elsewhere"))
    found = options(block, "acme-pbx1.latch", tmp_path)
    assert found["proxyusefdpass"] == "yes"
    assert found["forwardagent"] == "no"
    assert found["stricthostkeychecking"] in ("yes", "true")
    assert found["compression"] == "no"
    assert found["identitiesonly"] == "yes"
    assert found["identityagent"] == "none"
    assert found["ciphers"].startswith("aes128-gcm@openssh.com,")
    assert found["hostkeyalgorithms"] == "ssh-ed25519-cert-v01@openssh.com"
    assert found["preferredauthentications"] == "publickey"
    assert found["globalknownhostsfile"] == "/dev/null"
    assert found["identityfile"].replace("%%", "%") == f"{home.path}/id_ed25519"
    assert found["certificatefile"].replace("%%", "%") == f"{home.path}/certs/%h-cert.pub"
    assert found["userknownhostsfile"].replace("%%", "%") == f"{home.path}/known_hosts"
    command = found["proxycommand"].replace("%%", "%").replace("%h", "acme-pbx1.latch")
    said = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["env", f"LATCH_HOME={home.path}", str(PROGRAM), "connect", "acme-pbx1.latch"]


def test_other_hosts_are_left_alone(tmp_path: Path) -> None:
    """The block is for ``*.latch`` only."""
    block = ssh_config_block(Home(tmp_path), PROGRAM, default_home=tmp_path)
    assert options(block, "example.test", tmp_path)["proxycommand"] == "other"


def test_default_home_is_not_named(tmp_path: Path) -> None:
    """With the default home the command is plain."""
    block = ssh_config_block(Home(tmp_path), Path("/usr/bin/latch"), default_home=tmp_path)
    assert "    ProxyCommand /usr/bin/latch connect '%h'\n" in block


@pytest.mark.parametrize("directory", ['a"b', "a\nb", "${HOME}", "a\\b", "a*b"])
def test_home_that_cannot_be_written(directory: str) -> None:
    """A path that ``ssh`` would read as something else is refused."""
    with pytest.raises(HomeError, match="set LATCH_HOME"):
        ssh_config_block(Home(Path("/tmp") / directory), PROGRAM, default_home=Path("/elsewhere"))


def test_install_and_uninstall(tmp_path: Path) -> None:
    """One Include comes to the top, once, and the rest of the file, its mode and its link stay as they are."""
    home, directory, real = Home(tmp_path / "latch"), tmp_path / ".ssh", tmp_path / "dotfiles"
    directory.mkdir(mode=0o700)
    real.write_bytes(b"Host other\n    User \xff\n")
    real.chmod(0o640)
    (directory / "config").symlink_to(real)
    assert install(home, "Host *.latch\n", directory)
    assert not install(home, "Host *.latch\n    Port 1\n", directory)
    assert (home.path / "ssh_config").read_text() == "Host *.latch\n    Port 1\n"
    lines = real.read_bytes().splitlines()
    assert lines[1] == f'Include "{home.path}/ssh_config"'.encode()
    assert lines[3:] == [b"Host other", b"    User \xff"]
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert (directory / "config").is_symlink()
    assert uninstall(home, directory)
    assert real.read_bytes() == b"Host other\n    User \xff\n"
    assert not (home.path / "ssh_config").exists()
    assert not uninstall(home, directory)


def test_include_that_was_moved_comes_back_to_the_top(tmp_path: Path) -> None:
    """An Include behind other settings would be too late, so it is moved, not doubled."""
    home, directory = Home(tmp_path / "latch"), tmp_path / ".ssh"
    install(home, "", directory)
    config = directory / "config"
    config.write_text("Host other\n\n" + config.read_text())
    assert install(home, "", directory)
    text = config.read_text()
    assert text.count("Include") == 1
    assert text.index("Include") < text.index("Host other")


def test_command(latch: Latch, logged_in: FakeController, home: Home) -> None:
    """The command prints the block, or installs it into a ``~/.ssh`` that only the user can enter."""
    printed = latch("ssh-config")
    assert (printed.code, printed.err) == (0, "")
    assert printed.out.startswith("Host *.latch\n")
    ran = latch("ssh-config", "--install")
    assert ran.code == 0
    directory = home.path.parent / "user" / ".ssh"
    assert ran.out == f"{directory}/config now includes {home.path}/ssh_config\n"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "config").stat().st_mode) == 0o600
    assert (home.path / "ssh_config").read_text() == printed.out
    assert "already includes" in latch("ssh-config", "--install").out
    assert "no longer includes" in latch("ssh-config", "--uninstall").out
    assert latch("ssh-config", "--install", "--uninstall").code == 2
    assert logged_in.asked == []
