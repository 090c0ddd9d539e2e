"""``latch`` with the real ``ssh``: first against OpenSSH's own server, then with the real controller and endpoint."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

import pytest

from latchstring.certs.identity import create_ssh_key
from latchstring.certs.ssh_public_key import format_public_key, parse_public_key
from latchstring.protocol.api import DialResponse
from latchstring.protocol.dial import PREAMBLE_BYTES, Status
from parties import CUSTOMER, ENDPOINT_NAME, Site
from unit.client.fake_controller import USER, Asked, FakeController
from unit.client.samples import DIAL_ID, ENDPOINT_ID, SESSION_ID

SECONDS = 30
LATCH = str(Path(sys.prefix) / "bin" / "latch")


class SshdRelay:
    """Stands for relay and endpoint: after the preamble every connection is an ``sshd`` of its own."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            with stream:
                preamble = b""
                while len(preamble) < PREAMBLE_BYTES:
                    preamble += stream.recv(PREAMBLE_BYTES - len(preamble))
                stream.sendall(Status.PAIRED.wire)
                # sshd wants its absolute path, since it starts itself again.
                command = ["/usr/sbin/sshd", "-i", "-f", str(self._config)]
                subprocess.run(
                    command, stdin=stream.fileno(), stdout=stream.fileno(), stderr=subprocess.DEVNULL, check=False
                )

    def close(self) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(SECONDS)


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[FakeController]:
    """A controller that answers over TLS."""
    fake = FakeController(tmp_path / "controller")
    yield fake
    fake.close()


@pytest.fixture
def sshd(tmp_path: Path, controller: FakeController) -> Iterator[SshdRelay]:
    """OpenSSH's server with a host certificate of the controller, which trusts its session certificates."""
    if os.geteuid() != 0:
        pytest.skip("sshd needs root to serve a connection")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    host_key = create_ssh_key(tmp_path / "host_key")
    certificate = controller.keys.host_ca.issue_host(
        endpoint_name=ENDPOINT_NAME, public_key=format_public_key(host_key.public_key)
    )
    (tmp_path / "host_key-cert.pub").write_text(certificate + "\n")
    (tmp_path / "user_ca.pub").write_text(controller.keys.user_ca.public_key + "\n")
    (tmp_path / "principals").write_text(ENDPOINT_ID + "\n")
    config = tmp_path / "sshd_config"
    config.write_text(
        f"HostKey {tmp_path}/host_key\n"
        f"HostCertificate {tmp_path}/host_key-cert.pub\n"
        f"TrustedUserCAKeys {tmp_path}/user_ca.pub\n"
        f"AuthorizedPrincipalsFile {tmp_path}/principals\n"
        "AuthorizedKeysFile none\nPermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\nStrictModes no\n"
        "Subsystem sftp internal-sftp\nPidFile none\n"
    )
    relay = SshdRelay(config)
    yield relay
    relay.close()


@pytest.fixture
def environment(tmp_path: Path, controller: FakeController) -> dict[str, str]:
    """The environment of an engineer who has logged in; the path of the home has all that needs quoting."""
    home = tmp_path / "100% of it's home"
    environment = {**os.environ, "LATCH_HOME": str(home), "HOME": str(tmp_path)}
    login = [LATCH, "login", controller.url, "--user", USER, "--fingerprint", controller.fingerprint]
    subprocess.run(login, input="secret", text=True, env=environment, timeout=SECONDS, check=True, capture_output=True)
    installed = subprocess.run([LATCH, "ssh-config"], text=True, env=environment, check=True, capture_output=True)
    (tmp_path / "config").write_text(installed.stdout)
    return environment


def answer_dials(controller: FakeController, environment: dict[str, str], port: int) -> None:
    """Let the controller answer every dial with a certificate for the engineer's key."""
    public = subprocess.run(
        ["ssh-keygen", "-y", "-f", f"{environment['LATCH_HOME']}/id_ed25519"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    def answer(_asked: Asked) -> DialResponse:
        certificate = controller.keys.user_ca.issue_user(
            session_id=SESSION_ID,
            endpoint_id=ENDPOINT_ID,
            public_key=format_public_key(parse_public_key(public)),
            grant_digest="00" * 32,
        )
        return DialResponse(
            session_id=SESSION_ID,
            certificate=certificate,
            dial_id=DIAL_ID,
            relay_host="127.0.0.1",
            relay_port=port,
            secret="ab" * 32,
        )

    controller.handlers["POST /dials"] = answer


def ssh(tmp_path: Path, environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Run an SSH tool with the block as its whole configuration."""
    program, *arguments = command
    return subprocess.run(
        [program, "-F", str(tmp_path / "config"), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_ssh_and_scp(tmp_path: Path, controller: FakeController, sshd: SshdRelay, environment: dict[str, str]) -> None:
    """The certificate that the ProxyCommand writes is used by the very ``ssh`` that ran it, also on the first dial."""
    answer_dials(controller, environment, sshd.port)
    ran = ssh(tmp_path, environment, "ssh", "-v", "root@acme-pbx1.latch", "echo hello; exit 7")
    assert (ran.returncode, ran.stdout) == (7, "hello\n"), ran.stderr
    assert "cipher: aes128-gcm@openssh.com" in ran.stderr
    assert "Host 'acme-pbx1.latch' is known and matches the ED25519-CERT host certificate" in ran.stderr
    (tmp_path / "sent").write_bytes(os.urandom(100_000))
    ran = ssh(tmp_path, environment, "scp", str(tmp_path / "sent"), f"root@acme-pbx1.latch:{tmp_path}/received")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "received").read_bytes() == (tmp_path / "sent").read_bytes()


def test_capital_letters_mean_the_same_host(
    tmp_path: Path, controller: FakeController, sshd: SshdRelay, environment: dict[str, str]
) -> None:
    """``ssh`` lowers a host's name before it asks for the connection."""
    answer_dials(controller, environment, sshd.port)
    ran = ssh(tmp_path, environment, "ssh", "root@ACME-PBX1.latch", "echo hello")
    assert (ran.returncode, ran.stdout) == (0, "hello\n"), ran.stderr


def test_server_without_a_host_certificate(
    tmp_path: Path, controller: FakeController, sshd: SshdRelay, environment: dict[str, str]
) -> None:
    """A server that has only a bare host key, or another name in its certificate, is not spoken to."""
    answer_dials(controller, environment, sshd.port)
    ran = ssh(tmp_path, environment, "ssh", "root@acme-pbx2.latch", "echo hello")
    assert (ran.returncode, ran.stdout) == (255, "")
    config = tmp_path / "sshd_config"
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith("HostCertificate")))
    ran = ssh(tmp_path, environment, "ssh", "root@acme-pbx1.latch", "echo hello")
    assert (ran.returncode, ran.stdout) == (255, "")
    assert "no matching host key type found" in ran.stderr


def test_reason_reaches_the_user_of_ssh(tmp_path: Path, environment: dict[str, str]) -> None:
    """What ``latch connect`` says is what people see who typed ``ssh``."""
    ran = ssh(tmp_path, environment, "ssh", "acme-pbx1.latch", "true")
    assert ran.returncode == 255
    assert "latch: the controller says: nothing at /dials" in ran.stderr


def test_real_parties(site: Site) -> None:
    """Open, ``ssh``, close; then an auditor reads it all and proves that it is whole."""
    site.login("odd@example.test", home="auditor")
    site.customer("access", "on")
    opened = site.open("--for", "10m").json()
    assert (opened["state"], opened["endpoint"]) == ("granted", ENDPOINT_NAME)
    assert datetime.fromisoformat(opened["expires_at"]).tzinfo is not None
    assert site.ssh("echo hello").out == "hello\n"
    assert site.latch("close", opened["id"]).out.startswith(opened["id"])
    site.wait_for_state(opened["id"], "closed")
    shown = site.latch("audit", "show", opened["id"], "--json", home="auditor").json()
    types = {event["type"] for event in shown["events"]}
    assert {"session.requested", "session.granted", "session.dialled", "channel.opened", "session.ended"} <= types
    assert "session.granted" in site.latch("audit", "show", opened["id"], home="auditor").out
    assert site.latch("audit", "list", home="auditor").out.count("\n") > len(types)
    assert f"{CUSTOMER}: verified, " in site.latch("audit", "verify", home="auditor").out
    again = site.latch("audit", "verify", "--json", home="auditor").json()["logs"]
    assert all(log["verified"] and log["previous_size"] for log in again)

    site.customer("access", "off")
    refused = site.open(status=3)
    assert json.loads(refused.out)["state"] == "refused"
    assert "the customer has turned access off" in refused.err

    site.customer("access", "ask")
    with interrupted_open(site) as stderr:
        assert "was withdrawn" in stderr.read()
    assert site.latch("sessions", "--json").json()["sessions"][0]["state"] == "withdrawn"
    assert f"{CUSTOMER}: verified, " in site.latch("audit", "verify", home="auditor").out


@contextlib.contextmanager
def interrupted_open(site: Site) -> Iterator[IO[str]]:
    """Run an ``open`` that waits, interrupt it, and give what it says after that."""
    process = subprocess.Popen(
        [LATCH, "open", ENDPOINT_NAME, "--purpose", "maintenance"],
        env=site.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        assert f"waiting for {CUSTOMER}" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        yield process.stderr
        assert process.wait(SECONDS) == 1
