"""Ordinary tools through a session: ssh, scp, sftp, rsync, multiplexing, forwards."""

import hashlib
import os
import pty
import select
import shlex
import subprocess
import time
from pathlib import Path

import pytest

from parties import BIN, ENDPOINT_NAME, Site

HOST = f"{ENDPOINT_NAME}.latch"
MEGABYTE = 1024 * 1024


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    """A file of random bytes that is no whole number of packets long."""
    path = tmp_path / "payload.bin"
    path.write_bytes(os.urandom(5 * MEGABYTE + 4321))
    return path


def test_exec_separates_streams_and_status(shared_site: Site) -> None:
    """A command's output, error output and exit status arrive apart."""
    done = shared_site.ssh("echo out; echo err >&2; exit 7", status=7)
    assert (done.out, done.err) == ("out\n", "err\n")


def test_stdin_reaches_the_command(shared_site: Site) -> None:
    """What is piped into ssh reaches the command, end of file included."""
    assert (
        shared_site.ssh("sha256sum", given="x" * 300_000).out.split()[0] == hashlib.sha256(b"x" * 300_000).hexdigest()
    )


def test_signal_death_is_reported(shared_site: Site) -> None:
    """A command that a signal killed ends ssh with 255, as with OpenSSH's own server."""
    shared_site.ssh("kill -9 $$", status=255)


def test_a_reader_that_had_enough_ends_the_command(shared_site: Site) -> None:
    """A command whose output nobody reads any more ends, as in a local pipe, and ssh with it."""
    for given in ("/dev/null", "/dev/zero"):
        command = f"ssh -F {shared_site.ssh_config} {HOST} yes <{given} | head -2"
        ran = shared_site.run("sh", "-c", command, seconds=20)
        assert (ran.out, ran.err) == ("y\ny\n", "")


def test_a_script_over_stdin(shared_site: Site) -> None:
    """What editors and Ansible do works: a shell that reads its script from stdin."""
    assert shared_site.ssh("/bin/sh -s -- a b", given='echo "$# $2"\n').out == "2 b\n"


def test_interactive_shell_has_a_terminal(shared_site: Site) -> None:
    """A shell gets a terminal that follows the size of the engineer's, and Ctrl-C reaches the job."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(shared_site.environment())
        os.execvp("ssh", ["ssh", "-F", str(shared_site.ssh_config), HOST])  # noqa: S606 - the test's own program
    seen = b""

    def read_until(words: bytes) -> None:
        nonlocal seen
        deadline = time.monotonic() + 20
        while words not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([terminal], [], [], 0.5)[0]:
                seen += os.read(terminal, 65536)

    def type_line(line: bytes) -> None:
        os.write(terminal, line + b"\n")

    try:
        type_line(b"PS1='$ '; tty && echo is-$((1))-tty")
        read_until(b"is-1-tty")
        subprocess.run(["stty", "rows", "43", "cols", "131"], stdin=terminal, check=True)
        type_line(b"sleep 0.3; stty size; echo sized-$((2))")
        read_until(b"sized-2")
        assert b"43 131" in seen
        type_line(b"sleep 600 || echo interrupted-$((3))")
        time.sleep(0.3)
        os.write(terminal, b"\x03")
        type_line(b"echo after-$((4))")
        read_until(b"after-4")
        type_line(b"exit 5")
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 5
    finally:
        os.close(terminal)


@pytest.mark.parametrize("legacy", [[], ["-O"]], ids=["sftp-protocol", "scp-protocol"])
def test_scp_both_ways(shared_site: Site, payload: Path, tmp_path: Path, legacy: list[str]) -> None:
    """A file copied there and back by scp is the same, in the modern and the old protocol."""
    there, back = tmp_path / "there.bin", tmp_path / "back.bin"
    shared_site.run("scp", *legacy, "-F", str(shared_site.ssh_config), str(payload), f"{HOST}:{there}")
    shared_site.run("scp", *legacy, "-F", str(shared_site.ssh_config), f"{HOST}:{there}", str(back))
    assert digest(payload) == digest(there) == digest(back)


def test_sftp_batch(shared_site: Site, payload: Path, tmp_path: Path) -> None:
    """A batch of sftp commands (put, rename, list, get, remove) does what it says."""
    batch = tmp_path / "batch"
    batch.write_text(
        f"put {payload} {tmp_path}/one\nrename {tmp_path}/one {tmp_path}/two\nls -l {tmp_path}\n"
        f"get {tmp_path}/two {tmp_path}/three\nrm {tmp_path}/two\n"
    )
    done = shared_site.run("sftp", "-F", str(shared_site.ssh_config), "-b", str(batch), HOST)
    assert "two" in done.out
    assert digest(tmp_path / "three") == digest(payload)
    assert not (tmp_path / "two").exists()


def test_rsync_both_ways(shared_site: Site, tmp_path: Path) -> None:
    """A tree copied there and back by rsync is the same, links and modes included."""
    source, there, back = (tmp_path / name for name in ("source", "there", "back"))
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / "file").write_bytes(os.urandom(MEGABYTE))
    (source / "script").write_text("#!/bin/sh\n")
    (source / "script").chmod(0o755)
    (source / "link").symlink_to("script")
    shell = f"ssh -F {shared_site.ssh_config}"
    shared_site.run("rsync", "-a", "-e", shell, f"{source}/", f"{HOST}:{there}/")
    shared_site.run("rsync", "-a", "-e", shell, f"{HOST}:{there}/", f"{back}/")
    assert digest(back / "deep" / "er" / "file") == digest(source / "deep" / "er" / "file")
    assert (back / "script").stat().st_mode & 0o777 == 0o755
    assert (back / "link").readlink() == Path("script")


def test_multiplexing(shared_site: Site, tmp_path: Path) -> None:
    """Several commands share one connection (ControlMaster), and the control socket closes when asked."""
    control = ["-o", f"ControlPath={tmp_path}/mux", "-F", str(shared_site.ssh_config)]
    shared_site.run("ssh", *control, "-o", "ControlMaster=yes", "-o", "ControlPersist=60", "-fN", HOST)
    try:
        outputs = [shared_site.run("ssh", *control, HOST, f"echo {number}").out for number in range(5)]
        assert outputs == [f"{number}\n" for number in range(5)]
    finally:
        shared_site.run("ssh", *control, "-O", "exit", HOST)


def test_git_over_ssh(shared_site: Site, tmp_path: Path) -> None:
    """A repository on the server can be cloned through the session."""
    bare = tmp_path / "repository.git"
    shared_site.run("git", "init", "-q", "--bare", str(bare))
    environment = f"GIT_SSH_COMMAND={shlex.quote(f'ssh -F {shared_site.ssh_config}')}"
    shared_site.run("sh", "-c", f"{environment} git clone -q {HOST}:{bare} {tmp_path}/clone")
    assert (tmp_path / "clone" / ".git").is_dir()


@pytest.mark.parametrize(
    "option", ["-R8081:127.0.0.1:9", "-L8082:127.0.0.1:9", "-D8083"], ids=["remote", "unnamed local", "dynamic"]
)
def test_forwards_need_a_named_service(shared_site: Site, option: str) -> None:
    """Without a service in policy and grant nothing is forwarded, and ssh says so when it is asked to insist."""
    command = ["ssh", "-F", str(shared_site.ssh_config), "-o", "ExitOnForwardFailure=yes", option, HOST]
    if option.startswith("-R"):
        shared_site.run(*command, "true", status=255)
        return
    arguments = ["ssh", "-F", str(shared_site.ssh_config), "-W", "127.0.0.1:9", HOST]
    done = shared_site.run(*arguments, status=None)
    assert done.status != 0
    assert "administratively prohibited" in done.err or "open failed" in done.err


def test_environment_is_clean(shared_site: Site) -> None:
    """Nothing of the agent's environment leaks into a session."""
    environment = shared_site.ssh("env").out
    for name in ("LATCH_", "VIRTUAL_ENV", "PYTHON", "PYTEST"):
        assert name not in environment


def test_session_cannot_see_the_endpoint(shared_site: Site) -> None:
    """The endpoint's keys, switch and control socket are out of sight, and so are processes outside the session."""
    listed = shared_site.ssh(f"ls -A {shared_site.endpoint_data}; ps ax", status=None).out
    for name in ("journal", "access", "control.sock", "key", "latch-endpoint run", "latch-controller"):
        assert name not in listed, listed


def test_session_cannot_turn_itself_on(shared_site: Site) -> None:
    """From inside a session the customer's commands find no endpoint to command."""
    done = shared_site.ssh(f"{BIN}/latch-endpoint access on --data {shared_site.endpoint_data}", status=None)
    assert done.status != 0


def test_many_channels_at_once(shared_site: Site) -> None:
    """Twenty connections at the same time each get their own answer."""
    command = ["ssh", "-F", str(shared_site.ssh_config), HOST]
    running = [
        subprocess.Popen([*command, f"echo {number}"], stdout=subprocess.PIPE, text=True, env=shared_site.environment())
        for number in range(20)
    ]
    assert [process.communicate(timeout=60)[0] for process in running] == [f"{number}\n" for number in range(20)]
