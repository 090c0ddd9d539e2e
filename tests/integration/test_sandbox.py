"""The sandbox with the real ``bwrap``: what a session's processes are, see, and cannot do."""

import asyncio
import contextlib
import itertools
import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import latchstring
from latchstring.endpoint.sandbox import bubblewrap, sandbox
from latchstring.endpoint.sandbox.child import ChildExit
from latchstring.endpoint.sandbox.environment import session_environment
from latchstring.endpoint.sandbox.errors import SandboxDeadError, SandboxUnavailableError, SpawnError
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.self_test import self_test
from latchstring.endpoint.sandbox.spec import SandboxSpec
from relay_parties import on_both_loops

SECONDS = 20
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@contextlib.asynccontextmanager
async def started(spec: SandboxSpec | None = None) -> AsyncIterator[Sandbox]:
    """Start a sandbox, and kill it afterwards."""
    made = await Sandbox.start(spec or SandboxSpec())
    try:
        yield made
    finally:
        assert (await made.kill()).processes_left == 0


async def run(inside: Sandbox, script: str) -> tuple[ChildExit, str]:
    """Run a shell script inside, and return how it ended and what it printed on both outputs."""
    reading, writing = os.pipe()
    with open(os.devnull, "rb") as nothing:  # noqa: ASYNC230, PTH123 - a device
        child = await inside.spawn(
            ["sh", "-c", script],
            program="/bin/sh",
            environment=session_environment(inside.account, {}),
            descriptors=(nothing.fileno(), writing, writing),
        )
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        printed = await asyncio.to_thread(pipe.read)
    return await asyncio.wait_for(child.wait(), SECONDS), printed.decode()


@on_both_loops
async def test_children_end_as_they_end() -> None:
    """Exit statuses and signals are told apart."""
    async with started() as inside:
        assert (await run(inside, "exit 0"))[0] == ChildExit(status=0)
        assert (await run(inside, "exit 255"))[0] == ChildExit(status=255)
        assert (await run(inside, "kill -KILL $$"))[0] == ChildExit(signal=signal.SIGKILL)


@on_both_loops
async def test_what_cannot_be_executed_says_so() -> None:
    """A program that is missing or not executable ends like a shell's would, with a line on standard error."""
    async with started() as inside:
        reading, writing = os.pipe()
        for program, status in (("/no/such/program", 127), ("/etc/passwd", 126)):
            child = await inside.spawn([program], environment={}, descriptors=(reading, writing, writing))
            assert await child.wait() == ChildExit(status=status)
            assert os.read(reading, 4096).startswith(b"latchstring: cannot start the program: ")
        os.close(reading)
        os.close(writing)


@on_both_loops
async def test_signals_reach_the_whole_group_and_no_other() -> None:
    """A signal to a child goes to its process group; another child does not notice; an ended one takes none."""
    async with started() as inside:
        reading, writing = os.pipe()
        script = "sleep 1000 & until ps -o args= -p $! | grep -q '^sleep'; do :; done; echo up; wait"
        argv = ["sh", "-c", script]
        children = [
            await inside.spawn(
                argv, program="/bin/sh", environment={"PATH": os.defpath}, descriptors=(reading, writing, writing)
            )
            for _ in range(2)
        ]
        os.close(writing)
        with open(reading, "rb") as output:  # noqa: ASYNC230, PTH123 - a pipe
            assert [await asyncio.to_thread(output.readline) for _ in children] == [b"up\n"] * 2
        children[0].signal(signal.SIGTERM)
        assert await asyncio.wait_for(children[0].wait(), SECONDS) == ChildExit(signal=signal.SIGTERM)
        children[0].signal(signal.SIGTERM)
        _, printed = await run(inside, "ps ax -o args= | grep -c '^sleep 1000$'")
        assert printed == "1\n"


@on_both_loops
async def test_only_the_sessions_processes_are_there() -> None:
    """Inside, ``/proc`` holds init as number 1 and the session's own, and init is out of their reach."""
    async with started() as inside:
        _, printed = await run(
            inside, "ps ax -o pid=,args= | grep -v ps; kill -9 1; ls /proc/1/fd/ -l; cat /proc/1/mem"
        )
        lines = printed.splitlines()
        assert "init.py" in lines[0]
        assert lines[0].split()[0] == "1"
        assert not [line for line in lines if "pytest" in line]
        assert "->" not in printed
        assert (await run(inside, "true"))[0] == ChildExit(status=0)


@on_both_loops
async def test_no_descriptor_of_the_agent_is_there() -> None:
    """A child has its three streams, and nothing else is open."""
    async with started() as inside:
        with open(os.devnull, "rb") as inheritable:  # noqa: ASYNC230, PTH123 - a device
            os.set_inheritable(inheritable.fileno(), True)
            _, printed = await run(inside, "ls /proc/self/fd")
        assert printed.split() == ["0", "1", "2", "3"]  # 3 is the directory that ls reads


@on_both_loops
async def test_privileges_are_gone_for_good() -> None:
    """No capability is left, none can be gained, and nothing can be mounted or unmounted."""
    async with started() as inside:
        _, printed = await run(inside, "grep -E '^(CapPrm|CapEff|CapAmb|NoNewPrivs)' /proc/self/status")
        values = [line.split()[1] for line in printed.splitlines()]
        assert values == ["0" * 16, "0" * 16, "0" * 16, "1"]
        ended, _ = await run(inside, "mount -t tmpfs none /mnt")
        assert ended != ChildExit(status=0)


@on_both_loops
async def test_a_masked_directory_is_empty_and_stays_so(tmp_path: Path) -> None:
    """Neither reading, writing, unmounting, nor a way around through ``/proc`` reaches a masked directory."""
    secret = tmp_path / "data"
    secret.mkdir()
    (secret / "key").write_text("secret")
    async with started(SandboxSpec(masked=(secret,))) as inside:
        for script in (
            f"cat {secret}/key",
            f"umount {secret}; cat {secret}/key",
            f"umount -l {secret}; cat {secret}/key",
            f"cat /proc/1/root{secret}/key",
            f"cat /proc/self/root{secret}/key",
            f"unshare -Urm sh -c 'umount {secret}; cat {secret}/key'",
            f"unshare -Urm sh -c 'mount --bind / /mnt; cat /mnt{secret}/key'",
            f"nsenter -t 1 -m cat {secret}/key",
            f"ln {secret}/key {tmp_path}/link; cat {tmp_path}/link",
            f"ls -A {secret}",
        ):
            _, printed = await run(inside, f"({script}) 2>/dev/null")
            assert printed == "", script
        ended, _ = await run(inside, f"echo x > {secret}/new")
        assert ended != ChildExit(status=0)
    assert [path.name for path in secret.iterdir()] == ["key"]


# Tells which of the files that are its arguments can be opened for writing, and writes nothing.
OPENS_FOR_WRITING = 'for file; do (: >> "$file") 2>/dev/null && echo "$file"; done; echo complete'
KERNEL_FILES = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sysrq-trigger",
    "/proc/mtrr",
    "/proc/pressure/cpu",
    "/proc/irq/default_smp_affinity",
    "/sys/power/state",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/fs/cgroup/cgroup.procs",
)


def kernel_files() -> list[str]:
    """Return those of the files that are here, with the control files of every cgroup hierarchy."""
    cgroups = Path("/sys/fs/cgroup")
    controls = [path for name in ("release_agent", "cgroup.procs") for path in cgroups.glob(f"*/{name}")]
    return [str(path) for path in (*map(Path, KERNEL_FILES), *controls) if path.exists()]


@on_both_loops
async def test_what_the_kernel_does_for_all_cannot_be_changed() -> None:
    """No file of ``/proc`` and ``/sys`` that sets something for the whole machine opens for writing, nor do cgroups."""
    files = kernel_files()
    async with started() as inside:
        _, printed = await run(inside, f"set -- {' '.join(files)}; {OPENS_FOR_WRITING}")
    assert printed == "complete\n"


@on_both_loops
async def test_nothing_above_a_masked_directory_can_be_moved(tmp_path: Path) -> None:
    """No ancestor of a mask can be renamed, swapped or removed, and what is beside it can be used as before."""
    secret = tmp_path / "one" / "two" / "data"
    secret.mkdir(parents=True)
    (tmp_path / "one" / "beside").mkdir()
    async with started(SandboxSpec(masked=(secret,))) as inside:
        for ancestor in (tmp_path / "one", tmp_path / "one" / "two", secret):
            ended, printed = await run(inside, f"LC_ALL=C mv {ancestor} {ancestor}.moved")
            assert ended != ChildExit(status=0), ancestor
            assert "busy" in printed
            ended, _ = await run(inside, f"unshare -Urm mv {ancestor} {ancestor}.moved")
            assert ended != ChildExit(status=0), ancestor
        ended, printed = await run(
            inside,
            f"cd {tmp_path}/one && echo x > beside/file && mv beside/file beside/same"
            " && mv beside other && cat other/same",
        )
        assert (ended, printed) == (ChildExit(status=0), "x\n")
    assert secret.is_dir()
    assert (tmp_path / "one" / "other" / "same").is_file()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_mount_below_an_ancestor_is_still_there(tmp_path: Path) -> None:
    """Pinning binds with everything below: a file system that is mounted beside the mask shows as outside."""
    (tmp_path / "data").mkdir()
    (tmp_path / "beside").mkdir()

    async def look() -> str:
        async with started(SandboxSpec(masked=(tmp_path / "data",))) as inside:
            return (await run(inside, f"stat -c %d {tmp_path}/beside"))[1]

    subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path / "beside"], check=True)
    try:
        assert asyncio.run(look()).split() == [str((tmp_path / "beside").stat().st_dev)]
    finally:
        subprocess.run(["umount", tmp_path / "beside"], check=True)


@on_both_loops
async def test_devices_are_the_usual_few() -> None:
    """A sandbox has no device of the machine but those that everybody has, and shared memory of its own."""
    async with started() as inside:
        _, printed = await run(
            inside, "find /dev -type b; find /dev -type c ! -path '/dev/pts/*' -printf '%f\n'; ls /dev/shm"
        )
        assert set(printed.split()) <= {"null", "zero", "full", "random", "urandom", "tty"}
        ended, _ = await run(inside, ": > /dev/null && echo x > /dev/shm/mine && head -c 1 /dev/urandom > /dev/zero")
        assert ended == ChildExit(status=0)
    assert not await asyncio.to_thread(os.path.exists, "/dev/shm/mine")


NEW_USER_NAMESPACE = """
import ctypes, os, threading
libc = ctypes.CDLL(None, use_errno=True)
NEWUSER = 0x10000000
tries = {"unshare": (libc.unshare, NEWUSER), "setns": (libc.setns, os.open("/proc/self/ns/user", os.O_RDONLY), NEWUSER)}
number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
tries["clone"] = (libc.syscall, number, NEWUSER | 17, 0, 0, 0, 0)
tries["clone3"] = (libc.syscall, 435, ctypes.create_string_buffer(NEWUSER.to_bytes(8, "little") + bytes(80)), 88)
for name, (call, *arguments) in tries.items():
    print(name, call(*arguments), os.strerror(ctypes.get_errno()))
thread = threading.Thread(target=print, args=("a thread",))
thread.start()
thread.join()
if os.fork() == 0:
    print("a process", flush=True)
    os._exit(0)
os.wait()
"""


@pytest.mark.parametrize("run_as", [None, pytest.param("nobody", marks=as_root)])
@on_both_loops
async def test_no_user_namespace(run_as: str | None) -> None:
    """No call makes a user namespace, in which a session would have every capability; threads and processes go on."""
    python = shutil.which("python3", path="/usr/bin")
    if python is None:
        pytest.skip("there is no Python that an ordinary user can run")
    async with started(SandboxSpec(run_as=run_as)) as inside:
        printed = (await run(inside, f"{python} -u - <<'END'\n{NEW_USER_NAMESPACE}\nEND"))[1]
        assert printed.splitlines() == [
            "unshare -1 Operation not permitted",
            "setns -1 Operation not permitted",
            "clone -1 Operation not permitted",
            "clone3 -1 Function not implemented",
            "a thread",
            "a process",
        ]
        assert (await run(inside, "unshare -Urm true 2>/dev/null"))[0] != ChildExit(status=0)
        assert (await run(inside, "echo one | cat; (true & wait)"))[0] == ChildExit(status=0)


OF_THE_C_LIBRARY = 0b11 << 31
"""Signals 32 and 33, which only glibc can set: its posix_spawn(3), and so make(1), starts programs ignoring them."""


@contextlib.asynccontextmanager
async def ignoring(number: signal.Signals) -> AsyncIterator[None]:
    """Ignore a signal in this process and those that it starts."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)


@on_both_loops
async def test_no_signal_from_inside_ends_the_sandbox() -> None:
    """Init outlives every signal that a session sends it, and children have the default handlers back."""
    async with ignoring(signal.SIGQUIT), started() as inside:  # as a shell's background job does
        await run(inside, 'for number in $(seq 1 64); do kill -"$number" 1; done 2>/dev/null')
        assert (await run(inside, "kill -INT $$"))[0] == ChildExit(signal=signal.SIGINT)
        _, printed = await run(inside, "grep SigIgn: /proc/self/status")
        assert int(printed.split()[1], 16) & ~OF_THE_C_LIBRARY == 0
        assert inside.is_alive


@on_both_loops
async def test_a_kill_is_timed_to_the_proof() -> None:
    """The time of a kill is reported also to who asks in the very turn of the loop in which the proof came."""
    ticks = itertools.count()
    inside = await Sandbox.start(SandboxSpec(), clock=lambda: float(next(ticks)))
    inside.kill_now()
    select.select([inside._namespace._outer], [], [], SECONDS)  # the loop does not turn until all is over
    while not inside._namespace.ended.done():  # noqa: ASYNC110 - each turn of the loop is looked at
        await asyncio.sleep(0)
    assert (await inside.kill()).seconds > 0
    assert (await inside.kill()).seconds > 0


@as_root
@on_both_loops
async def test_an_account_is_become_completely() -> None:
    """With ``run_as`` uid, gid and groups are the account's, and root cannot be had back."""
    nobody = pwd.getpwnam("nobody")
    async with started(SandboxSpec(run_as="nobody")) as inside:
        sets = "grep -hE '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status"
        assert [line.split()[1] for line in (await run(inside, sets))[1].splitlines()] == ["0" * 16] * 4
        _, printed = await run(inside, "grep -E '^(Uid|Gid|Groups)' /proc/self/status; cat /etc/shadow; kill -9 1")
        lines = [line.split() for line in printed.splitlines()]
        assert lines[0][1:] == [str(nobody.pw_uid)] * 4
        assert lines[1][1:] == [str(nobody.pw_gid)] * 4
        assert set(lines[2][1:]) == {str(group) for group in inside.account.groups}
        assert "root:" not in printed


UNPRIVILEGED = """
import asyncio, os, sys
from pathlib import Path
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.spec import SandboxSpec
from latchstring.endpoint.sandbox.self_test import self_test

async def main():
    parent = Path(sys.argv[1])
    spec = SandboxSpec(masked=(parent / "data",))
    await self_test(spec)
    inside = await Sandbox.start(spec)
    script = '(mv "$1" "$1.moved" || echo pinned; mv "$1/beside" "$1/file" && echo usable) 2>/dev/null'
    child = await inside.spawn(
        ["sh", "-c", script, "sh", str(parent)],
        program="/bin/sh", environment={"PATH": os.defpath}, descriptors=(0, 1, 2),
    )
    await child.wait()
    await inside.kill()
    print("confined")

asyncio.run(main())
"""


@as_root
def test_an_ordinary_user_confines_as_well() -> None:
    """Without root, by a user namespace, on the system's own Python: the self-test passes, and ancestors are pinned."""
    python = shutil.which("python3", path="/usr/bin")
    if python is None:
        pytest.skip("there is no Python that an ordinary user can run")
    source = Path(latchstring.__file__).parent.parent
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as base:
        parent = Path(base) / "parent"
        (parent / "data").mkdir(parents=True)
        (parent / "beside").touch()
        for path in (Path(base), parent, parent / "data", parent / "beside"):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        answer = subprocess.run(
            [python, "-c", UNPRIVILEGED, str(parent)],
            env={"PYTHONPATH": str(source), "PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"},
            user="nobody",
            group="nogroup",
            extra_groups=[],
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    if "Permission denied" in answer.stderr and "latchstring" not in answer.stderr:
        pytest.skip("an ordinary user cannot read this source tree")
    assert answer.stdout == "pinned\nusable\nconfined\n", answer.stderr


@on_both_loops
async def test_the_self_test_passes_here(tmp_path: Path) -> None:
    """This machine can confine, and the self-test says so."""
    (tmp_path / "file").touch()
    await self_test(SandboxSpec(masked=(tmp_path,)))


FAKES = {
    "no namespaces": ("echo 'bwrap: No permissions to create new namespace' >&2; exit 1", "No permissions to create"),
    "dies silently": ("exit 1", "gave no reason"),
}


@pytest.mark.parametrize("case", FAKES)
def test_the_self_test_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """A machine that cannot confine is found out, with the reason that ``bwrap`` gave."""
    script, reason = FAKES[case]
    fake = tmp_path / "bwrap"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "program", lambda: str(fake))
    bubblewrap._disable_nested_user_namespaces.cache_clear()
    with pytest.raises(SandboxUnavailableError, match=reason):
        asyncio.run(self_test(SandboxSpec()))
    bubblewrap._disable_nested_user_namespaces.cache_clear()


def test_the_self_test_finds_what_is_not_confined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A ``bwrap`` that leaves out a protection does not pass."""
    (tmp_path / "file").touch()
    real = bubblewrap.arguments

    def without(*words: str) -> Callable[..., list[str]]:
        def arguments(*given: Any) -> list[str]:
            command = "\n".join(real(*given))
            assert "\n".join(words) in command
            return command.replace("\n".join(words) + "\n", "").split("\n")

        return arguments

    mask = ("--perms", "0555", "--tmpfs", str(tmp_path), "--remount-ro", str(tmp_path))
    monkeypatch.setattr(bubblewrap, "arguments", without(*mask))
    with pytest.raises(SandboxUnavailableError, match="not hidden"):
        asyncio.run(self_test(SandboxSpec(masked=(tmp_path,))))
    (tmp_path / "file").unlink()
    with pytest.raises(SandboxUnavailableError, match="not hidden"):
        asyncio.run(self_test(SandboxSpec(masked=(tmp_path,))))
    if os.geteuid() == 0:
        monkeypatch.setattr(bubblewrap, "arguments", without("--ro-bind", "/proc/sys", "/proc/sys"))
        with pytest.raises(SandboxUnavailableError, match="not read-only"):
            asyncio.run(self_test(SandboxSpec()))
    monkeypatch.setattr(bubblewrap, "arguments", without("--unshare-pid", "--as-pid-1"))
    with pytest.raises(SandboxUnavailableError):
        asyncio.run(self_test(SandboxSpec()))


@on_both_loops
async def test_a_dead_sandbox_starts_nothing() -> None:
    """After the end children cannot be started, the running ones have ended without a status, and killing is done."""
    async with started() as inside:
        with open(os.devnull, "rb") as nothing:  # noqa: ASYNC230, PTH123 - a device
            null = nothing.fileno()
            child = await inside.spawn(["/bin/sleep", "1000"], environment={}, descriptors=(null, null, null))
            report = await inside.kill()
            assert (report.processes_left, inside.is_alive) == (0, False)
            assert await child.wait() == ChildExit()
            child.signal(signal.SIGTERM)
            with pytest.raises(SandboxDeadError):
                await inside.spawn(["/bin/true"], environment={}, descriptors=(null, null, null))
        assert await inside.kill() == report
        await inside.wait_ended()


@on_both_loops
async def test_a_request_that_is_too_long_is_refused_alone() -> None:
    """A command line beyond the limit, or with a NUL, fails by itself; the sandbox lives on."""
    async with started() as inside:
        for command in ("x" * 300_000, "a\0b"):
            with pytest.raises(SpawnError):
                await inside.spawn(["sh", "-c", command], program="/bin/sh", environment={}, descriptors=(0, 1, 2))
        assert (await run(inside, "true"))[0] == ChildExit(status=0)


@on_both_loops
async def test_a_sandbox_that_does_not_start_in_time_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that takes too long is given up, and what it began is gone."""
    monkeypatch.setattr(sandbox, "START_SECONDS", 0.0)
    with pytest.raises(SandboxUnavailableError, match="in time"):
        await Sandbox.start(SandboxSpec())
