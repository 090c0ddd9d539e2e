"""The endpoint's SSH server under OpenSSH's own programs, with the real sandbox."""

import asyncio
import contextlib
import hashlib
import os
import pwd
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from latchstring.endpoint.sandbox.spec import SandboxSpec
from latchstring.endpoint.ssh.options import MAX_CHANNELS
from latchstring.endpoint.ssh.ports import ChannelEnd, ChannelRefusal, Service
from latchstring.protocol.event_fields import ChannelKind, ChannelOutcome
from relay_parties import on_both_loops
from ssh_endpoint import ENDPOINT_NAME, Session, SshEndpoint, ssh_endpoint

HOST = f"{ENDPOINT_NAME}.latch"
SECONDS = 30


@dataclass
class Ran:
    """What a program did."""

    status: int
    output: bytes
    errors: str


@dataclass
class Engineer:
    """Runs OpenSSH's programs with the files of an endpoint under test."""

    endpoint: SshEndpoint
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    @property
    def config(self) -> tuple[str, str]:
        """The options that make a program use these files."""
        return "-F", str(self.endpoint.directory / "config")

    async def start(self, program: str, *arguments: str) -> asyncio.subprocess.Process:
        """Start a program with pipes."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(program, *arguments, stdin=pipe, stdout=pipe, stderr=pipe)
        self.processes.append(process)
        return process

    async def run(self, program: str, *arguments: str, given: bytes = b"") -> Ran:
        """Run a program to its end."""
        process = await self.start(program, *arguments)
        if not given and process.stdin is not None:
            process.stdin.close()  # communicate() would write nothing to a program that may have ended: uvloop minds
        output, errors = await asyncio.wait_for(process.communicate(given or None), SECONDS)
        return Ran(process.returncode or 0, output, errors.decode(errors="replace"))

    async def ssh(self, *arguments: str, given: bytes = b"", options: tuple[str, ...] = ()) -> Ran:
        """Run ``ssh`` to its end."""
        return await self.run("ssh", *self.config, *options, HOST, *arguments, given=given)

    async def close(self) -> None:
        """End what still runs."""
        for process in self.processes:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await process.communicate()


@contextlib.asynccontextmanager
async def engineer_at(directory: Path, **options: object) -> AsyncIterator[tuple[Engineer, Session]]:
    """An engineer with a session at an endpoint."""
    async with ssh_endpoint(directory, **options) as (endpoint, session):  # type: ignore[arg-type]  # passed on
        engineer = Engineer(endpoint)
        try:
            yield engineer, session
        finally:
            await engineer.close()


def last_end(session: Session) -> ChannelEnd:
    """Return how the channel that closed last ended."""
    end = session.recorder.named("closed")[-1][2]
    assert isinstance(end, ChannelEnd)
    return end


# --- shell and exec


@on_both_loops
async def test_exec_keeps_streams_and_status_apart(tmp_path: Path) -> None:
    """Standard output, standard error and the exit status each arrive on their own; input reaches the program."""
    async with engineer_at(tmp_path) as (engineer, session):
        ran = await engineer.ssh("cat; echo wrong >&2; exit 7", given=b"in and out")
        assert (ran.status, ran.output, ran.errors) == (7, b"in and out", "wrong\n")
        await session.recorder.wait_for("closed")
        assert last_end(session) == ChannelEnd(ChannelOutcome.EXITED, bytes_in=10, bytes_out=16, exit_status=7)


@on_both_loops
async def test_large_streams_arrive_whole_in_both_directions(tmp_path: Path) -> None:
    """Megabytes through ``cat``, with a window that fills on both sides, come back unchanged."""
    async with engineer_at(tmp_path) as (engineer, session):
        sent = os.urandom(1 << 20) * 9 + b"tail"
        ran = await engineer.ssh("cat", given=sent)
        assert hashlib.sha256(ran.output).digest() == hashlib.sha256(sent).digest()
        await session.recorder.wait_for("closed")
        assert (last_end(session).bytes_in, last_end(session).bytes_out) == (len(sent), len(sent))


@on_both_loops
@pytest.mark.parametrize("cipher", ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"])
async def test_every_cipher_carries_data(tmp_path: Path, cipher: str) -> None:
    """Each cipher that is offered carries a stream unchanged."""
    async with engineer_at(tmp_path) as (engineer, _):
        ran = await engineer.ssh("seq 200000", options=("-c", cipher))
        assert ran.output == "".join(f"{number}\n" for number in range(1, 200001)).encode()


@on_both_loops
async def test_a_stream_survives_key_exchanges(tmp_path: Path) -> None:
    """The client renews the keys every megabyte while output flows; nothing is lost or out of order."""
    async with engineer_at(tmp_path) as (engineer, _):
        ran = await engineer.ssh("seq 900000", options=("-o", "RekeyLimit=1M"))
        assert (ran.status, ran.errors) == (0, "")
        assert ran.output == "".join(f"{number}\n" for number in range(1, 900001)).encode()


@on_both_loops
async def test_a_signal_that_ends_the_program_is_told(tmp_path: Path) -> None:
    """A program killed by a signal is reported as such, not as an exit status."""
    async with engineer_at(tmp_path) as (engineer, session):
        ran = await engineer.ssh("kill -TERM $$")
        assert ran.status == 255
        await session.recorder.wait_for("closed")
        assert last_end(session).outcome is ChannelOutcome.SIGNALLED


@on_both_loops
async def test_a_terminal_is_one(tmp_path: Path) -> None:
    """``ssh -tt`` gives a controlling terminal with the client's type, sane modes, and job control."""
    async with engineer_at(tmp_path) as (engineer, _):
        script = 'tty; echo "$TERM"; test -t 0 && test -t 2 && echo all; stty -a | grep -ow "icanon\\|isig"'
        script += "; ps -o tpgid= $$"
        ran = await engineer.ssh("-tt", script)
        lines = ran.output.decode().split()
        assert ran.status == 0
        assert lines[0].startswith("/dev/pts/")
        assert lines[2:5] == ["all", "isig", "icanon"]
        assert int(lines[5]) > 0


@on_both_loops
async def test_a_shell_takes_keys_and_interrupts(tmp_path: Path) -> None:
    """An interactive shell echoes, runs what is typed, and Ctrl-C interrupts the foreground job only."""
    async with engineer_at(tmp_path) as (engineer, session):
        shell = await engineer.start("ssh", *engineer.config, "-tt", HOST)
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(b"sh -c 'echo begin-$((40 + 2)); exec sleep 1000'\n")
        async with asyncio.timeout(SECONDS):
            await shell.stdout.readuntil(b"begin-42")
            await session.recorder.wait_for("opened")
            shell.stdin.write(b"\x03")
            await shell.stdout.readuntil(b"^C")
            shell.stdin.write(b"exit 5\n")
            await shell.communicate()
        assert shell.returncode == 5


@on_both_loops
async def test_multiplexed_channels_share_a_connection(tmp_path: Path) -> None:
    """``ControlMaster`` opens many channels over one connection, at once."""
    async with engineer_at(tmp_path) as (engineer, session):
        control = ("-o", f"ControlPath={tmp_path}/mux", "-o", "ControlMaster=auto", "-o", "ControlPersist=yes")
        assert (await engineer.run("ssh", *engineer.config, *control, "-fN", HOST)).status == 0
        ran = await asyncio.gather(*(engineer.ssh(f"sleep 0.1; echo {number}", options=control) for number in range(8)))
        assert [each.output for each in ran] == [f"{number}\n".encode() for number in range(8)]
        assert len(session.recorder.named("connected")) == 1
        await engineer.ssh("-O", "exit", options=control)
        await session.recorder.wait_for("disconnected")


@on_both_loops
async def test_commands_piped_into_a_shell_work_as_ansible_does(tmp_path: Path) -> None:
    """A program sent over standard input, with its arguments quoted twice, runs and its output comes back."""
    async with engineer_at(tmp_path) as (engineer, _):
        quoted = """/bin/sh -c '"'"'/bin/sh -s -- "a b" && sleep 0'"'"'"""
        ran = await engineer.ssh(quoted.replace("""'"'"'""", "'"), given=b'printf "%s|" "$@"\n')
        assert (ran.status, ran.output) == (0, b"a b|")


@on_both_loops
async def test_the_environment_is_the_sessions_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the agent's environment reaches a program, and of the engineer's only the locale."""
    monkeypatch.setenv("LATCH_TEST_SECRET", "do not show")
    monkeypatch.setenv("LC_MESSAGES", "nl_NL.UTF-8")
    async with engineer_at(tmp_path) as (engineer, _):
        ran = await engineer.ssh("env", options=("-o", "SetEnv=LC_TIME=de_DE.UTF-8 LD_PRELOAD=/tmp/evil.so"))
        names = dict(line.split("=", 1) for line in ran.output.decode().splitlines())
        assert names["LC_TIME"] == "de_DE.UTF-8"
        assert not {"LATCH_TEST_SECRET", "LD_PRELOAD"} & set(names)
        assert names["HOME"] == pwd.getpwuid(os.geteuid()).pw_dir


# --- files


def make_tree(directory: Path) -> dict[str, bytes]:
    """Make a few files and return their contents by name."""
    directory.mkdir()
    files = {"empty": b"", "small": b"text\n", "large": os.urandom(300_000), "name with space": b"x"}
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return files


def read_tree(directory: Path) -> dict[str, bytes]:
    """Return what is in a directory, by name."""
    return {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


COPIES = {
    "scp": ("scp", "-r", "{config}"),
    "scp -O": ("scp", "-O", "-r", "{config}"),
    "rsync": ("rsync", "-r", "-e", "ssh -F {path}"),
}


@on_both_loops
@pytest.mark.parametrize("tool", COPIES)
async def test_trees_are_copied_there_and_back(tmp_path: Path, tool: str) -> None:
    """``scp`` over SFTP, ``scp -O`` and ``rsync`` move a tree in both directions, unchanged."""
    files = make_tree(tmp_path / "here")
    async with engineer_at(tmp_path) as (engineer, session):
        command: list[str] = []
        for part in COPIES[tool]:
            command += engineer.config if part == "{config}" else [part.format(path=engineer.config[1])]
        assert (await engineer.run(*command, f"{tmp_path}/here", f"{HOST}:{tmp_path}/there")).errors == ""
        assert (await engineer.run(*command, f"{HOST}:{tmp_path}/there", f"{tmp_path}/back")).errors == ""
        await session.recorder.wait_for("closed", 2)
        kinds = {event[2] for event in session.recorder.named("opened")}
        assert kinds == {ChannelKind.SFTP if tool == "scp" else ChannelKind.EXEC}
    assert read_tree(tmp_path / "there") == files
    assert read_tree(tmp_path / "back") == files


SFTP_TABLE = {
    "read only": (("sftp_read",), {"get": True, "put": False, "ls": True}),
    "write only": (("sftp_write",), {"get": False, "put": True, "ls": False}),
    "both": (("sftp_read", "sftp_write"), {"get": True, "put": True, "ls": True}),
}


@on_both_loops
@pytest.mark.parametrize("case", SFTP_TABLE)
async def test_sftp_does_what_is_granted(tmp_path: Path, case: str) -> None:
    """Reading, writing and listing each work exactly if the capability for it is granted."""
    allow, expected = SFTP_TABLE[case]
    (tmp_path / "file").write_bytes(b"content")
    commands = {
        "get": f"get {tmp_path}/file {tmp_path}/got",
        "put": f"put {tmp_path}/file {tmp_path}/written",
        "ls": f"ls {tmp_path}",
    }
    async with engineer_at(tmp_path, allow=allow) as (engineer, session):
        for name, command in commands.items():
            ran = await engineer.run("sftp", *engineer.config, "-b", "-", HOST, given=command.encode())
            assert (ran.status == 0) is expected[name], (name, ran)
        assert (tmp_path / "written").exists() is expected["put"]
        assert {event[3] for event in session.recorder.named("opened")} == {max(allow)}


# --- what is not granted


@on_both_loops
@pytest.mark.parametrize(
    ("allow", "arguments", "program"),
    [
        (("shell",), ("uname",), "ssh"),
        (("exec",), (), "ssh"),
        (("exec", "shell"), (), "sftp"),
    ],
)
async def test_what_is_not_granted_is_refused_in_one_line(
    tmp_path: Path, allow: tuple[str, ...], arguments: tuple[str, ...], program: str
) -> None:
    """A channel that is not granted says so on standard error, starts nothing, and is recorded as refused."""
    async with engineer_at(tmp_path, allow=allow) as (engineer, session):
        batch = ("-b", "-") if program == "sftp" else ()
        ran = await engineer.run(program, *engineer.config, *batch, HOST, *arguments, given=b"")
        assert ran.status != 0
        assert "is not granted in this session" in ran.errors
        (refused,) = await session.recorder.wait_for("refused")
        assert refused[2] is ChannelRefusal.NOT_GRANTED
        assert not session.recorder.named("opened")


@on_both_loops
async def test_nothing_starts_without_a_record(tmp_path: Path) -> None:
    """With a journal that cannot be written no program starts, and the engineer is told why."""
    async with engineer_at(tmp_path) as (engineer, session):
        control = ("-o", f"ControlPath={tmp_path}/mux", "-o", "ControlMaster=auto", "-o", "ControlPersist=yes")
        await engineer.run("ssh", *engineer.config, *control, "-fN", HOST)
        session.recorder.broken = True
        ran = await engineer.ssh(f"touch {tmp_path}/started", options=control)
        assert "cannot write its journal" in ran.errors
        assert not (tmp_path / "started").exists()
        await engineer.ssh("-O", "exit", options=control)


@on_both_loops
async def test_no_connection_without_a_record(tmp_path: Path) -> None:
    """With a journal that cannot be written not even a connection is let in."""
    async with engineer_at(tmp_path) as (engineer, session):
        session.recorder.broken = True
        ran = await engineer.ssh("true")
        assert ran.status == 255
        assert await engineer.endpoint.refusals.get() == "not_recorded"


@on_both_loops
@pytest.mark.parametrize(
    "options",
    [
        ("-R", "0:127.0.0.1:22"),
        ("-R", "/tmp/latchstring-test-remote.sock:127.0.0.1:22"),
        ("-w", "any:any"),
        ("-o", "Tunnel=ethernet", "-w", "any:7"),
    ],
    ids=["remote forward", "remote forward of a Unix socket", "tunnel", "bridge"],
)
async def test_other_forwards_do_not_exist(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Remote forwards and tunnels are refused, and the record has what was asked for."""
    async with engineer_at(tmp_path) as (engineer, session):
        options = ("-o", "ExitOnForwardFailure=yes", *options)
        ran = await asyncio.wait_for(engineer.ssh("true", options=options), SECONDS)
        assert ran.status == 255
        (refused,) = session.recorder.named("refused")
        assert refused[1:3] == (ChannelKind.FORWARD, ChannelRefusal.UNSUPPORTED)
        target = refused[3]
        assert isinstance(target, str)
        assert target.split()[0] == options[-2]


@on_both_loops
async def test_unix_sockets_are_out_of_reach(tmp_path: Path) -> None:
    """A forward to a Unix socket of the machine is refused, and the record has its path; the connection lives on."""
    async with engineer_at(tmp_path) as (engineer, session):
        # The local end is open before the command runs, and its connection is refused while it waits.
        forward = ("-L", f"{tmp_path}/local.sock:/run/docker.sock")
        client = await engineer.start("ssh", *engineer.config, *forward, HOST, "echo up; cat")
        assert client.stdout is not None
        assert await client.stdout.readline() == b"up\n"
        reader, writer = await asyncio.open_unix_connection(f"{tmp_path}/local.sock")
        assert await asyncio.wait_for(reader.read(), SECONDS) == b""
        writer.close()
        (refused,) = session.recorder.named("refused")
        assert refused[1:] == (ChannelKind.FORWARD, ChannelRefusal.UNSUPPORTED, "-L /run/docker.sock")
        output, _ = await asyncio.wait_for(client.communicate(b"on\n"), SECONDS)
        assert output == b"on\n"


@on_both_loops
async def test_refused_forwards_leave_bounded_records(tmp_path: Path) -> None:
    """A session that has used up its channels leaves no record of a refused forward either."""
    async with engineer_at(tmp_path) as (engineer, session):
        session.channels_left = 0
        ran = await engineer.ssh("true", options=("-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22"))
        assert ran.status == 255
        assert not session.recorder.named("refused")


@on_both_loops
async def test_agent_and_x11_forwarding_leave_no_trace(tmp_path: Path) -> None:
    """``-A`` and ``-X`` give the program neither an agent nor a display."""
    async with engineer_at(tmp_path) as (engineer, _):
        ran = await engineer.ssh("env", options=("-A", "-X"))
        assert b"SSH_AUTH_SOCK" not in ran.output
        assert b"DISPLAY" not in ran.output


@on_both_loops
async def test_channels_of_a_connection_are_limited(tmp_path: Path) -> None:
    """One more channel than allowed is refused while the others live on."""
    async with engineer_at(tmp_path) as (engineer, session):
        control = ("-o", f"ControlPath={tmp_path}/mux", "-o", "ControlMaster=auto", "-o", "ControlPersist=yes")
        await engineer.run("ssh", *engineer.config, *control, "-fN", HOST)
        starts = (engineer.start("ssh", *engineer.config, *control, HOST, "echo up; cat") for _ in range(MAX_CHANNELS))
        waiting = await asyncio.gather(*starts)
        await session.recorder.wait_for("opened", MAX_CHANNELS)
        # Without a way around the shared connection.
        refused = await engineer.ssh("true", options=(*control, "-o", "ProxyCommand=false"))
        assert refused.status == 255
        for process in waiting:
            await asyncio.wait_for(process.communicate(b""), SECONDS)
        assert {process.returncode for process in waiting} == {0}
        await engineer.ssh("-O", "exit", options=control)


@on_both_loops
async def test_channels_of_a_session_are_limited(tmp_path: Path) -> None:
    """What a session may not open any more is refused with a reason, and leaves no trace in the journal."""
    async with engineer_at(tmp_path) as (engineer, session):
        session.channels_left = 1
        control = ("-o", f"ControlPath={tmp_path}/mux", "-o", "ControlMaster=auto", "-o", "ControlPersist=yes")
        assert (await engineer.ssh("echo in", options=control)).output == b"in\n"
        await session.recorder.wait_for("closed")
        before = len(session.recorder.events)
        refused = await engineer.ssh("true", options=(*control, "-o", "ProxyCommand=false"))
        assert refused.status == 255
        assert len(session.recorder.named("refused")) == 0
        assert len(session.recorder.events) == before
        await engineer.ssh("-O", "exit", options=control)


# --- forwards


async def echo_half_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer only after the client's half has been closed, with all that it sent, reversed."""
    writer.write((await reader.read())[::-1])
    await writer.drain()
    writer.close()


@on_both_loops
@pytest.mark.parametrize("by_name", [True, False], ids=["name", "address"])
async def test_a_forward_reaches_its_service_and_keeps_half_closes(tmp_path: Path, *, by_name: bool) -> None:
    """``-L`` to a service, by its name or its address, carries data, and the answer to a half-closed request."""
    async with engineer_at(tmp_path) as (engineer, session):
        server = await asyncio.start_server(echo_half_closed, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        session.services = {"echo": Service("127.0.0.1", port)}
        target = "echo:1" if by_name else f"127.0.0.1:{port}"
        # -W is -L with the client's standard streams in place of a local socket.
        data = os.urandom(3_000_000)
        host, _, number = target.partition(":")
        ran = await engineer.run("ssh", *engineer.config, "-W", f"{host}:{number}", HOST, given=data)
        assert ran.output == data[::-1]
        await session.recorder.wait_for("closed")
        assert last_end(session) == ChannelEnd(ChannelOutcome.CLOSED, bytes_in=len(data), bytes_out=len(data))
        server.close()


@on_both_loops
@pytest.mark.parametrize(
    ("target", "reason", "text"),
    [
        ("127.0.0.1:22", ChannelRefusal.UNKNOWN_SERVICE, "names no such service"),
        ("database:1", ChannelRefusal.NOT_GRANTED, "not granted"),
    ],
)
async def test_other_forwards_are_refused(tmp_path: Path, target: str, reason: ChannelRefusal, text: str) -> None:
    """A forward to anything but a granted service is refused, with the reason in clear words."""
    async with engineer_at(tmp_path) as (engineer, session):
        session.services = {"database": Service("127.0.0.1", 5432)}
        ran = await engineer.ssh(options=("-o", "LogLevel=INFO", "-W", target))
        assert ran.status == 255
        assert text in ran.errors
        (refused,) = session.recorder.named("refused")
        assert refused[1:] == (ChannelKind.FORWARD, reason, f"-L {target}")


@on_both_loops
async def test_a_service_that_does_not_answer_is_named(tmp_path: Path) -> None:
    """A forward to a granted service that is down fails, is recorded, and leaves the connection alone."""
    async with engineer_at(tmp_path) as (engineer, session):
        with socket.create_server(("127.0.0.1", 0)) as unused:
            session.services = {"gone": Service("127.0.0.1", unused.getsockname()[1])}
        ran = await engineer.ssh(options=("-o", "LogLevel=INFO", "-W", "gone:1"))
        assert "the service gone does not answer" in ran.errors
        await session.recorder.wait_for("closed")
        assert last_end(session).outcome is ChannelOutcome.FAILED


# --- ends


@on_both_loops
async def test_a_killed_client_hangs_up_its_programs_but_not_the_session(tmp_path: Path) -> None:
    """When the client dies its programs get SIGHUP, and a process that has detached itself stays in the session."""
    async with engineer_at(tmp_path) as (engineer, session):
        script = f"""exec 2>/dev/null; setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $! > {tmp_path}/stays
            until [ "$(ps -o sid= -p $!)" -eq $! ]; do sleep 0.01; done
            trap 'echo hung-up > {tmp_path}/hangup; exit' HUP; echo ready; while :; do sleep 0.01; done"""
        client = await engineer.start("ssh", *engineer.config, HOST, script)
        assert client.stdout is not None
        assert await asyncio.wait_for(client.stdout.readline(), SECONDS) == b"ready\n"
        client.kill()
        await session.recorder.wait_for("disconnected")
        assert last_end(session).outcome is ChannelOutcome.CLOSED
        again = await engineer.ssh(
            f"until [ -e {tmp_path}/hangup ]; do sleep 0.01; done; kill -0 $(cat {tmp_path}/stays) && echo alive"
        )
        assert again.output == b"alive\n"
        assert session.sandbox.is_alive


@on_both_loops
async def test_a_cut_connection_delivers_nothing_more(tmp_path: Path) -> None:
    """``cut`` ends a connection in mid-stream, at once, and its channels are recorded as cut."""
    async with engineer_at(tmp_path) as (engineer, session):
        client = await engineer.start("ssh", *engineer.config, HOST, "cat /dev/zero")
        assert client.stdout is not None
        await asyncio.wait_for(client.stdout.readexactly(1 << 20), SECONDS)
        (connection,) = session.connections
        assert connection.bytes_moved >= 1 << 20
        connection.cut()
        connection.cut()
        await session.recorder.wait_for("disconnected")
        assert last_end(session).outcome is ChannelOutcome.CUT
        await asyncio.wait_for(client.communicate(), SECONDS)
        assert client.returncode == 255


@on_both_loops
async def test_a_killed_sandbox_ends_its_channels(tmp_path: Path) -> None:
    """Killing the sandbox ends every channel as cut, and what comes after is refused."""
    async with engineer_at(tmp_path) as (engineer, session):
        control = ("-o", f"ControlPath={tmp_path}/mux", "-o", "ControlMaster=auto", "-o", "ControlPersist=yes")
        await engineer.run("ssh", *engineer.config, *control, "-fN", HOST)
        client = await engineer.start("ssh", *engineer.config, *control, HOST, "trap '' TERM HUP; cat")
        await session.recorder.wait_for("opened")
        assert (await session.sandbox.kill()).processes_left == 0
        await asyncio.wait_for(client.communicate(), SECONDS)
        await session.recorder.wait_for("closed")
        assert last_end(session).outcome in {ChannelOutcome.CUT, ChannelOutcome.FAILED}
        ran = await engineer.ssh("true", options=control)
        assert "the sandbox has ended" in ran.errors
        await engineer.ssh("-O", "exit", options=control)


@on_both_loops
async def test_cancelling_the_server_cuts_its_connections(tmp_path: Path) -> None:
    """An agent that stops cancels the serving task: the client is gone at once, and the end is recorded."""
    async with engineer_at(tmp_path) as (engineer, session):
        client = await engineer.start("ssh", *engineer.config, HOST, "echo up; cat")
        assert client.stdout is not None
        await asyncio.wait_for(client.stdout.readline(), SECONDS)
        await engineer.endpoint.close()
        assert len(session.recorder.named("disconnected")) == 1
        await asyncio.wait_for(client.communicate(), SECONDS)


def test_the_data_directory_is_nowhere_in_a_session(tmp_path: Path) -> None:
    """No way of getting a file, shell or SFTP, shows the agent's own directory or its journal."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "key").write_text("a private key")
    client = tmp_path / "client"
    client.mkdir()

    async def look() -> None:
        async with engineer_at(client, spec=SandboxSpec(masked=(data,))) as (engineer, _):
            for command in (f"cat {data}/key", f"ls -A {data}", f"umount {data}; cat {data}/key", f"touch {data}/new"):
                ran = await engineer.ssh(command)
                assert ran.output == b"", command
            got = await engineer.run("sftp", *engineer.config, "-b", "-", HOST, given=f"get {data}/key".encode())
            assert got.status != 0

    asyncio.run(look())
    assert (data / "key").read_text() == "a private key"
    assert not (data / "new").exists()


def test_processes_outside_are_neither_seen_nor_reached(tmp_path: Path) -> None:
    """A process of the host is invisible in a session, and its number means another process or none."""
    with subprocess.Popen(["sleep", "1000"]) as outside:

        async def look() -> None:
            async with engineer_at(tmp_path) as (engineer, _):
                ran = await engineer.ssh(f"ps ax -o args=; kill -9 {outside.pid}; ls /proc/{outside.pid}")
                assert b"sleep 1000" not in ran.output

        asyncio.run(look())
        assert outside.poll() is None
        outside.send_signal(signal.SIGKILL)
