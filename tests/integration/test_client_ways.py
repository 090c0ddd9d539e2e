"""The engineer's ways to the relay with the real parties and tools: raw, in a WebSocket, through an HTTP proxy."""

import hashlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from http_proxy import HttpProxy, http_proxy
from parties import ENDPOINT_NAME, Site, wait_until

HOST = f"{ENDPOINT_NAME}.latch"
MEGABYTE = 1024 * 1024
SLOWER = "going through the controller's HTTPS port, which is slower"
CREDENTIALS = "ann:s3cret"


@dataclass
class RoamingSite(Site):
    """A site whose engineer sits somewhere else: ``variables`` are what the environment has there besides."""

    variables: dict[str, str] = field(default_factory=dict)

    def environment(self, home: str = "engineer") -> dict[str, str]:
        """The environment of one person's commands."""
        return {**super().environment(home), **self.variables}

    def pumps(self) -> list[int]:
        """Return the pids of what ``latch connect`` left behind for this site's engineer."""
        variable = f"LATCH_HOME={self.root / 'engineer'}\0".encode()
        found = []
        for folder in Path("/proc").iterdir():
            try:
                if (
                    b"\0connect\0" in (folder / "cmdline").read_bytes()
                    and variable in (folder / "environ").read_bytes()
                ):
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def wait_for_no_pump(self) -> None:
        """Wait until nothing that ``latch connect`` left behind runs."""
        wait_until(lambda: not self.pumps(), "what latch connect left behind to end", 15)


@pytest.fixture(scope="module")
def roaming_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoamingSite]:
    """A site with an open session."""
    with RoamingSite.running(tmp_path_factory.mktemp("roaming")) as site:
        assert isinstance(site, RoamingSite)
        site.open_session("--for", "1h")
        yield site


@pytest.fixture
def here(roaming_site: RoamingSite) -> Iterator[RoamingSite]:
    """The site, where nothing is in the way; afterwards nothing may have been left behind."""
    yield roaming_site
    roaming_site.variables.clear()
    roaming_site.wait_for_no_pump()


@contextmanager
def forced(site: RoamingSite) -> Iterator[None]:
    """The engineer wants the WebSocket."""
    site.variables["LATCH_RELAY"] = "websocket"
    yield


@contextmanager
def only_https(site: RoamingSite) -> Iterator[None]:
    """The only way out is a proxy that connects to the controller's HTTPS port and to nothing else."""
    with http_proxy(allows=lambda port: port == site.ports["people"]) as proxy:
        site.variables["HTTPS_PROXY"] = proxy.url
        yield


@contextmanager
def only_https_with_credentials(site: RoamingSite) -> Iterator[None]:
    """The same, and the proxy wants to know who we are."""
    with http_proxy(allows=lambda port: port == site.ports["people"], credentials=CREDENTIALS) as proxy:
        site.variables["https_proxy"] = proxy.url
        yield


@contextmanager
def liberal_proxy(site: RoamingSite) -> Iterator[None]:
    """The proxy connects to the relay's port too."""
    with http_proxy(credentials=CREDENTIALS) as proxy:
        site.variables["HTTPS_PROXY"] = proxy.url
        yield


Place = Callable[[RoamingSite], AbstractContextManager[None]]
ROUND_ABOUT: list[Place] = [forced, only_https, only_https_with_credentials]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("place", [*ROUND_ABOUT, liberal_proxy])
def test_tools(here: RoamingSite, tmp_path: Path, place: Place) -> None:
    """Commands, and 50 MB with scp and rsync both ways, work from every place; where it is slower, that is said."""
    sent, there, back = (tmp_path / name for name in ("sent", "there", "back"))
    sent.write_bytes(os.urandom(50 * MEGABYTE + 4321))
    with place(here):
        ran = here.ssh("echo out; echo err >&2; exit 7", status=7)
        assert ran.out == "out\n"
        assert ran.err.endswith("err\n")
        assert ran.err.count(SLOWER) == (place in ROUND_ABOUT)
        for copy in (
            ["scp", "-q", "-F", str(here.ssh_config)],
            ["rsync", "--whole-file", "-e", f"ssh -F {here.ssh_config}"],
        ):
            here.run(*copy, str(sent), f"{HOST}:{there}")
            here.run(*copy, f"{HOST}:{there}", str(back))
            assert digest(sent) == digest(there) == digest(back)
            there.unlink()
            back.unlink()


def test_many_connections_at_once(here: RoamingSite) -> None:
    """Connections do not mix, and each goes when its ``ssh`` goes."""
    with only_https(here):
        results: list[str] = []
        threads = [
            threading.Thread(target=lambda number=number: results.append(here.ssh(f"sleep 0.5; echo {number}").out))
            for number in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [f"{number}\n" for number in range(6)]


def test_both_directions_at_once(here: RoamingSite) -> None:
    """What goes in comes out again, while it still goes in, and ends when it ends."""
    sent = os.urandom(20 * MEGABYTE)
    with only_https(here):
        command = ["ssh", "-F", str(here.ssh_config), HOST, "cat"]
        ran = subprocess.run(command, input=sent, capture_output=True, env=here.environment(), timeout=60, check=True)
    assert hashlib.sha256(ran.stdout).digest() == hashlib.sha256(sent).digest()


def test_ssh_is_killed(here: RoamingSite) -> None:
    """``ssh`` killed without a chance to say anything leaves nothing behind."""
    with only_https(here), here.ssh_running("echo started; sleep 600") as ssh:
        wait_for_start(ssh)
        assert len(here.pumps()) == 1
        ssh.send_signal(signal.SIGKILL)
        here.wait_for_no_pump()


def test_interrupt_in_a_terminal_is_for_ssh(here: RoamingSite) -> None:
    """Ctrl-C goes to all that the terminal started; the connection is not of them, so that ``ssh`` decides."""
    with forced(here):
        command = ["ssh", "-F", str(here.ssh_config), HOST, "echo started; sleep 600"]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=here.environment(),
            start_new_session=True,
        ) as ssh:
            assert ssh.stdout is not None
            assert ssh.stdout.readline() == "started\n"
            (pump,) = here.pumps()
            assert os.getsid(pump) == pump != os.getsid(ssh.pid)
            os.killpg(ssh.pid, signal.SIGINT)
            assert ssh.wait(20) == 255
        here.wait_for_no_pump()


def test_customer_cuts(here: RoamingSite) -> None:
    """Access off ends a connection that goes this way at once, in the middle of its bytes."""
    with only_https(here):
        command = ["ssh", "-F", str(here.ssh_config), HOST, "cat /dev/zero"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=here.environment()) as ssh:
            assert ssh.stdout is not None
            assert ssh.stdout.read(MEGABYTE) == bytes(MEGABYTE)
            here.customer("access", "off")
            rest = ssh.stdout.read()
            assert len(rest) < 32 * MEGABYTE
            assert ssh.wait(20) == 255
        here.wait_for_no_pump()
        here.variables.clear()
        here.open_session("--for", "1h")


def test_other_commands_go_through_the_proxy(here: RoamingSite) -> None:
    """Logging in, opening and listing go through the proxy, which hears nothing but where to connect."""
    with http_proxy(credentials=CREDENTIALS) as proxy:
        here.variables["HTTPS_PROXY"] = proxy.url
        here.login()
        assert ENDPOINT_NAME in here.latch("endpoints").out
        assert here.open("--for", "5m").json()["state"] == "granted"
        assert set(proxy.asked) == {f"127.0.0.1:{here.ports['people']}"}
        assert_said_nothing(proxy)


def test_proxy_that_refuses(here: RoamingSite) -> None:
    """A proxy that lets nothing through is named by every command, with its status, in one line and exit code 4."""
    with http_proxy(allows=lambda _port: False) as proxy:
        here.variables["HTTPS_PROXY"] = proxy.url
        words = f"the proxy at 127.0.0.1:{proxy.port} refuses the connection (HTTP status 403 Forbidden)"
        for command in (["endpoints"], ["open", ENDPOINT_NAME, "--purpose", "maintenance"], ["connect", HOST]):
            ran = here.latch(*command, status=4)
            assert words in ran.err
            assert (ran.out, ran.err.count("\n")) == ("", 1)
        assert words in here.ssh("true", status=255).err


def test_controller_is_killed(tmp_path: Path) -> None:
    """When the controller dies, ``ssh`` ends, and nothing is left behind."""
    with RoamingSite.running(tmp_path) as site:
        assert isinstance(site, RoamingSite)
        assert site.controller is not None
        site.open_session()
        with forced(site), site.ssh_running("echo started; sleep 600") as ssh:
            wait_for_start(ssh)
            site.controller.kill()
            assert ssh.wait(20) == 255
            site.wait_for_no_pump()


def wait_for_start(ssh: subprocess.Popen[str]) -> None:
    """Read what ``ssh`` prints until the command says that it has started."""
    assert ssh.stdout is not None
    assert any("started" in line for line in ssh.stdout)


def assert_said_nothing(proxy: HttpProxy) -> None:
    """Check that the proxy was told its own credentials and no other secret."""
    for head in proxy.heads:
        names = [line.partition(":")[0] for line in head.split("\r\n")[1:] if line]
        assert names == ["Host", "Proxy-Authorization"]
