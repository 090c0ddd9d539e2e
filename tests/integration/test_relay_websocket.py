"""Sessions where the relay's own port is out of reach: the stream goes through a WebSocket, and loses nothing by it."""

import contextlib
import hashlib
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from http_proxy import http_proxy
from parties import ENDPOINT_NAME, Site, free_port, wait_until

MANY_BYTES = 50_000_000
UNREAD_BYTES = 400_000_123
STILL_LOOKS = 20


@contextmanager
def site_behind_a_firewall(root: Path, *, endpoint_only: bool = False) -> Iterator[Site]:
    """A site whose relay is dialled at a port behind which nobody is; or only the endpoint does not get there."""
    site = Site(root)
    with http_proxy(allows=lambda port: port != site.ports["relay"]) as proxy:
        try:
            site.initialise()
            if not endpoint_only:
                with (site.controller_data / "controller.toml").open("a") as settings:
                    settings.write(f'public_relay_address = "127.0.0.1:{free_port()}"\n')
            site.start_controller()
            site.enroll()
            if endpoint_only:
                (site.endpoint_data / "endpoint.toml").write_text(f'proxy = "{proxy.url}"\n')
            site.start_endpoint()
            site.login()
            site.open_session("--for", "1h")
            yield site
        finally:
            site.close()


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site on which both sides go through WebSockets."""
    with site_behind_a_firewall(tmp_path_factory.mktemp("closed")) as site:
        yield site


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site on which only the endpoint does: its proxy lets nobody to the relay's port."""
    with site_behind_a_firewall(tmp_path_factory.mktemp("half"), endpoint_only=True) as site:
        yield site


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", ["closed", "half"])
def test_files_arrive_whole(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Fifty megabytes go there and back unharmed, and the customer's status names the way."""
    site: Site = request.getfixturevalue(kind)
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(os.urandom(MANY_BYTES))
    there = tmp_path / "there"
    copy = ("scp", "-F", str(site.ssh_config), "-q")
    said = site.run(*copy, str(sent), f"{ENDPOINT_NAME}.latch:{there}", seconds=60)
    site.run(*copy, f"{ENDPOINT_NAME}.latch:{there}", str(back), seconds=60)
    assert digest(sent) == digest(there) == digest(back)
    assert site.customer("status", "--json").json()["relay_way"] == "websocket"
    assert "slower" in site.customer("status").out
    assert ("slower" in said.err) == (kind == "closed")
    assert site.endpoint is not None
    log = site.endpoint.text
    assert log.count("cannot be reached") == 1
    assert "Traceback" not in log


def test_ends_keep_their_order(closed: Site) -> None:
    """Input that ends is answered after its end, and the exit status comes: half-closes are kept."""
    ran = closed.ssh("cat; exit 7", given="x" * 300_000, status=7)
    assert ran.out == "x" * 300_000


def test_a_cut_is_at_once(closed: Site) -> None:
    """With bytes on their way, ``end`` stops them at once, and nothing that was buffered comes after it."""
    session = closed.open("--for", "1h").json()["id"]
    arguments = ["ssh", "-F", str(closed.ssh_config), "-q", f"{ENDPOINT_NAME}.latch", "cat /dev/zero"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=closed.environment()) as process:
        assert process.stdout is not None
        for _ in range(100):
            assert process.stdout.read(65536)
        ended = json.loads(closed.customer("end", session, "--json").out)
        began = time.monotonic()
        left = len(process.stdout.read())
        assert time.monotonic() - began < 5
        assert process.wait(10) == 255
    assert ended["processes_left"] == 0
    assert left < 8_000_000


def test_a_slow_reader_holds_the_sender_back(closed: Site) -> None:
    """While the engineer reads nothing the command on the other side blocks, and the controller's memory stays."""
    assert closed.controller is not None
    controller = Path(f"/proc/{closed.controller.process.pid}/status")
    before = resident_kilobytes(controller)
    with closed.ssh_running(f"exec head -c {UNREAD_BYTES} /dev/zero"):
        sender = wait_until(lambda: find_process(f"head\0-c\0{UNREAD_BYTES}\0/dev/zero\0"), "the command to run")
        written = [0]

        def stands_still() -> bool:
            written.append(int(re.findall(r"wchar: (\d+)", (sender / "io").read_text())[0]))
            return written[-1] > 0 and len(written) > STILL_LOOKS and len(set(written[-STILL_LOOKS:])) == 1

        wait_until(stands_still, "the command to block")
        assert written[-1] < UNREAD_BYTES // 4
        assert resident_kilobytes(controller) - before < 30_000


def resident_kilobytes(status: Path) -> int:
    """Return the resident memory of a process."""
    return int(re.findall(r"VmRSS:\s+(\d+)", status.read_text())[0])


def find_process(command_line: str) -> Path | None:
    """Return the folder of the process that has this command line."""
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and (folder / "cmdline").read_text() == command_line:
                return folder
    return None
