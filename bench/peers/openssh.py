"""OpenSSH's server on loopback, and the chain that teams build from it: ``ssh -J`` through an ``ssh -R`` tunnel."""

import contextlib
import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_READY_SECONDS: Final = 15.0
_SSHD_DIRECTORY: Final = Path("/run/sshd")


@contextlib.contextmanager
def server(directory: Path) -> Iterator[int]:
    """Run an sshd of our own with keys in ``directory``, and yield its port."""
    directory.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True)
    shutil.copy(directory / "user.pub", directory / "authorized_keys")
    port = _free_port()
    (directory / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {directory / 'host'}\nPidFile none\n"
        f"AuthorizedKeysFile {directory / 'authorized_keys'}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\nUseDNS no\nLogLevel ERROR\n"
        "Subsystem sftp internal-sftp\n"
    )
    if not _SSHD_DIRECTORY.exists():
        _SSHD_DIRECTORY.mkdir(mode=0o755)
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin") or "sshd"
    command = [program, "-D", "-E", str(directory / "sshd.log"), "-f", str(directory / "sshd_config")]
    with subprocess.Popen(command) as process:
        try:
            _wait_for(port)
            yield port
        finally:
            process.kill()


@contextlib.contextmanager
def reverse_tunnel(directory: Path, port: int) -> Iterator[int]:
    """Let the "site" hold an ``ssh -R`` tunnel to the "vendor's" sshd, and yield the tunnel's port there."""
    tunnel = _free_port()
    command = ["ssh", *client_options(directory, port), "-N", "-o", "ExitOnForwardFailure=yes"]
    with subprocess.Popen([*command, "-R", f"127.0.0.1:{tunnel}:127.0.0.1:{port}", "127.0.0.1"]) as process:
        try:
            _wait_for(tunnel)
            yield tunnel
        finally:
            process.kill()


def client_options(directory: Path, port: int) -> list[str]:
    """Return the options that reach the server at ``port`` with the key in ``directory``, AES-GCM first."""
    return [
        *("-F", "none", "-p", str(port), "-i", str(directory / "user"), "-l", getpass.getuser()),
        *("-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-c", "aes128-gcm@openssh.com"),
    ]


def jump_command(directory: Path, port: int, tunnel: int) -> list[str]:
    """Return the command that goes through the vendor's server into the tunnel, as ``ssh -J`` does.

    ``-J`` itself cannot be given a key and known hosts, so the ``ProxyCommand`` that it stands for is written out.
    """
    proxy = " ".join(["ssh", *client_options(directory, port), "-W", "%h:%p", "127.0.0.1"])
    return ["ssh", *client_options(directory, tunnel), "-o", f"ProxyCommand={proxy}", "127.0.0.1"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
            if connection.recv(4) == b"SSH-":
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing answers on port {port}")
