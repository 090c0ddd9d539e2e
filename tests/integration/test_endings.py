"""Parties that die: what the others do, and that the log loses nothing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from parties import PASSWORD, Site, processes_with, wait_until


def verify(site: Site) -> None:
    """Verify every log as an auditor."""
    if not (site.root / "auditor" / "config.json").exists():
        site.login("odd@example.test", home="auditor")
    site.latch("audit", "verify", home="auditor")


def test_controller_killed_and_back(site: Site) -> None:
    """A controller that comes back within the grace keeps the session; nothing acknowledged is missing from its log."""
    session_id = site.open_session()
    assert site.ssh("echo one").out == "one\n"
    assert site.controller is not None
    site.controller.kill()
    site.start_controller()
    wait_until(site.endpoint_online, "the endpoint to reconnect", 20)
    assert site.ssh("echo two").out == "two\n"
    assert site.session(session_id)["state"] in ("connected", "idle")
    verify(site)


def test_controller_gone_ends_sessions(site: Site) -> None:
    """An endpoint ends its sessions 15 s after it lost its controller, and reports that later."""
    session_id = site.open_session()
    site.ssh("(setsid sleep 932109 > /dev/null 2>&1 &)")
    assert processes_with("sleep\0932109")
    assert site.controller is not None
    site.controller.kill()
    wait_until(lambda: not processes_with("sleep\0932109"), "the session to end", 25)
    site.start_controller()
    ended = site.wait_for_state(session_id, "lost", 60)
    assert ended["reason"] == "controller_unreachable"
    verify(site)


def test_endpoint_killed(site: Site) -> None:
    """No process of a session survives the agent, and the controller ends the session as lost within 30 s."""
    session_id = site.open_session()
    with site.ssh_running("(setsid sleep 921098 &); echo started; exec sleep 921098") as running:
        assert running.stdout is not None
        running.stdout.readline()
        assert site.endpoint is not None
        site.endpoint.kill()
        wait_until(lambda: not processes_with("sleep\0921098"), "the session's processes to be dead", 5)
        assert running.wait(timeout=10) == 255
    assert site.wait_for_state(session_id, "lost", 35)["reason"] == "endpoint_unreachable"
    site.start_endpoint()
    verify(site)


def test_endpoint_killed_and_back_at_once(site: Site) -> None:
    """An agent that restarts at once reports that its sessions died with it; none comes back to life."""
    session_id = site.open_session()
    assert site.endpoint is not None
    site.endpoint.kill()
    site.start_endpoint()
    assert site.wait_for_state(session_id, "lost", 35)["state"] == "lost"
    site.ssh("true", status=255)
    verify(site)


def test_client_killed(site: Site) -> None:
    """A killed ssh takes its command along, and leaves the session open for the next one."""
    session_id = site.open_session()
    with site.ssh_running("echo started; exec sleep 910987") as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.kill()
        wait_until(lambda: not processes_with("sleep\0910987"), "the command to be hung up", 10)
    site.wait_for_state(session_id, "idle")
    assert site.ssh("echo again").out == "again\n"


def test_stop_in_order(site: Site) -> None:
    """SIGTERM ends both programs with status 0, and the sessions of a stopped agent are reported as ended."""
    session_id = site.open_session()
    assert site.endpoint is not None
    assert site.controller is not None
    assert site.endpoint.stop() == 0
    site.wait_for_state(session_id, "ended_by_customer", 35)
    assert site.controller.stop() == 0
    for party in (site.endpoint, site.controller):
        assert "Traceback" not in party.text
        assert "ERROR" not in party.text


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system needs root")
def test_off_with_a_full_disk(site: Site) -> None:
    """With the endpoint's disk full nothing new opens, and ``access off`` ends what is open and stays."""
    small = site.root / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(small)], check=True)
    try:
        assert site.endpoint is not None
        site.endpoint.stop()
        shutil.copytree(site.endpoint_data, small / "endpoint", symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
        shutil.rmtree(site.endpoint_data)
        site.endpoint_data.symlink_to(small / "endpoint")
        (small / "endpoint").chmod(0o700)
        site.start_endpoint()
        site.open_session()
        with site.ssh_running("echo started; exec sleep 909876") as running:
            assert running.stdout is not None
            running.stdout.readline()
            fill(small / "filler")
            assert site.open(status=3).status == 3
            site.customer("access", "off")
            assert running.wait(timeout=10) == 255
        assert not processes_with("sleep\0909876")
        assert site.customer("access").out.strip() == "off"
        (small / "filler").unlink()
        site.wait_for_state(site.latch("sessions", "--json").json()["sessions"][-1]["id"], "ended_by_customer", 40)
        site.endpoint.stop()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def fill(path: Path) -> None:
    """Fill a file system to the last byte."""
    with path.open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"\0" * 4096)
        except OSError:
            return


def test_second_process_is_refused(site: Site) -> None:
    """A data directory in use says so, names the process, and is left alone."""
    for command in (("latch-controller", site.controller_data), ("latch-endpoint", site.endpoint_data)):
        verb = "serve" if command[0] == "latch-controller" else "run"
        refused = site.run(command[0], verb, "--data", str(command[1]), status=1)
        assert "in use" in refused.err


def test_canary(site: Site, tmp_path: Path) -> None:
    """What is typed, printed and copied in a session is nowhere in the controller's files or output."""
    site.open_session()
    typed, printed, copied, fetched, synced = (
        f"canary-{name}-6b1f0c9d" for name in ("typed", "print", "scp", "get", "rsync")
    )
    site.ssh("cat; true", given=typed)
    site.ssh(f"echo {printed}")
    for name in (copied, fetched, synced):
        (tmp_path / name).write_text(name * 100)
    config = ["-F", str(site.ssh_config)]
    site.run("scp", *config, str(tmp_path / copied), f"acme-pbx1.latch:{tmp_path}/{copied}.there")
    site.run("scp", *config, f"acme-pbx1.latch:{tmp_path / fetched}", f"{tmp_path}/{fetched}.back")
    shell = f"ssh -F {site.ssh_config}"
    site.run("rsync", "-e", shell, str(tmp_path / synced), f"acme-pbx1.latch:{tmp_path}/{synced}.there")
    site.run("rsync", "-e", shell, f"acme-pbx1.latch:{tmp_path / synced}", f"{tmp_path}/{synced}.back")
    assert site.controller is not None
    haystack = site.controller.text.encode() + b"".join(
        path.read_bytes() for path in site.controller_data.rglob("*") if path.is_file()
    )
    for canary in (typed, printed, copied, fetched, synced):
        assert canary.encode() not in haystack
    assert PASSWORD.encode() not in haystack
