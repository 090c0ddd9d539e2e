"""Killing a sandbox: a table of processes that do not want to die, and of moments to kill in. Nothing may be left."""

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import latchstring
from latchstring.endpoint.sandbox import init, sandbox
from latchstring.endpoint.sandbox.abandoned import _is_abandoned, end_abandoned
from latchstring.endpoint.sandbox.account import resolve_account
from latchstring.endpoint.sandbox.bubblewrap import launch
from latchstring.endpoint.sandbox.child import ChildExit
from latchstring.endpoint.sandbox.control import control_pair
from latchstring.endpoint.sandbox.environment import session_environment
from latchstring.endpoint.sandbox.errors import SandboxDeadError
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.spec import SandboxSpec
from parties import wait_until
from relay_parties import on_both_loops

SECONDS = 30

STUBBORN = {
    "daemons that ignore signals": """
        for n in $(seq 50); do
            (trap '' HUP INT TERM QUIT; setsid sh -c "(trap '' HUP INT TERM QUIT; sleep 1000; sleep 1000) &" &)
        done
        until [ "$(pgrep -cx sleep)" -ge 50 ]; do :; done""",
    "stopped processes": """
        for n in $(seq 20); do sleep 1000 & kill -STOP $!; done""",
    "a loop of forks": """
        for n in $(seq 4); do (while :; do /bin/true & wait; done) & done
        for n in $(seq 150); do sleep 1000 & done""",
    "children that become leaders": """
        for n in $(seq 20); do setsid setsid sh -c 'trap "" TERM HUP; while :; do sleep 0.01; done' & done""",
    "a process that was replaced again and again": """
        sh -c 'exec sh -c "exec sh -c \\"trap \\\\\\"\\\\\\" TERM; sleep 1000\\""' & """,
    "zombies whose parent does not wait": """
        for n in $(seq 20); do sh -c '/bin/true & exec sleep 1000' & done""",
}


async def start_and_run(script: str) -> Sandbox:
    """Start a sandbox, run ``script`` in it, and return when that has printed that it is ready."""
    inside = await Sandbox.start(SandboxSpec())
    await run(inside, script)
    return inside


async def run(inside: Sandbox, script: str) -> None:
    """Run ``script`` in a sandbox, up to the point where it says that it is ready."""
    reading, writing = os.pipe()
    with open(os.devnull, "r+b") as nothing:  # noqa: ASYNC230, PTH123 - a device
        await inside.spawn(
            ["sh", "-c", f"exec 2>/dev/null\n{script}\necho ready; exec >/dev/null; wait"],
            program="/bin/sh",
            environment=session_environment(inside.account, {}),
            descriptors=(nothing.fileno(), writing, nothing.fileno()),
        )
    os.close(writing)
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(reading, ready.set)
    async with asyncio.timeout(SECONDS):
        await ready.wait()
    loop.remove_reader(reading)
    os.close(reading)


@on_both_loops
@pytest.mark.parametrize("case", STUBBORN)
async def test_nothing_survives_a_kill(case: str) -> None:
    """Whatever a session's processes do to live on, all of them are gone when the kill returns."""
    inside = await start_and_run(STUBBORN[case])
    assert inside._namespace.count_processes() > 2
    report = await inside.kill()
    assert report.processes_left == 0
    assert report.seconds < SECONDS
    assert inside._namespace.count_processes() == 0


@on_both_loops
async def test_a_kill_in_the_first_moment_leaves_nothing() -> None:
    """Killed right after its start, and with a child that is about to be started, a sandbox leaves nothing."""
    for _ in range(20):
        inside = await Sandbox.start(SandboxSpec())
        with open(os.devnull, "r+b") as nothing:  # noqa: ASYNC230, PTH123 - a device
            null = nothing.fileno()
            spawning = asyncio.ensure_future(
                inside.spawn(["/bin/sleep", "1000"], environment={}, descriptors=(null, null, null))
            )
            await asyncio.sleep(0)
            inside.kill_now()
            assert (await inside.kill()).processes_left == 0
            try:
                child = await spawning
            except SandboxDeadError:
                continue
            assert await child.wait() == ChildExit()
        assert inside._namespace.count_processes() == 0


@on_both_loops
@pytest.mark.parametrize("turns", range(0, 60, 6))
async def test_a_start_that_is_cancelled_leaves_nothing(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled after any number of turns of the event loop, a start ends with its namespace gone."""
    made: list[Sandbox] = []
    real = sandbox.Sandbox.__init__

    def remember(self: Sandbox, *arguments: object) -> None:
        made.append(self)
        real(self, *arguments)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(sandbox.Sandbox, "__init__", remember)
    starting = asyncio.ensure_future(Sandbox.start(SandboxSpec()))
    for _ in range(turns):
        await asyncio.sleep(0.0005)  # lets bwrap get on; what is tested holds wherever it is
    starting.cancel()
    await asyncio.wait([starting])
    for inside in made:
        assert (await inside.kill()).processes_left == 0
        assert inside._namespace.reaped.done()
        assert inside._namespace.count_processes() == 0


@on_both_loops
async def test_twenty_sandboxes_are_killed_at_once() -> None:
    """Twenty sessions with stubborn processes get their signal in one go, and all are proven gone."""
    script = "for n in $(seq 5); do (trap '' TERM HUP; setsid sh -c 'while :; do sleep 1; done' &); done"
    inside = [await Sandbox.start(SandboxSpec()) for _ in range(20)]
    await asyncio.gather(*(run(each, script) for each in inside))
    for each in inside:
        each.kill_now()
    reports = await asyncio.gather(*(each.kill() for each in inside))
    assert {report.processes_left for report in reports} == {0}
    assert sum(each._namespace.count_processes() for each in inside) == 0


@on_both_loops
async def test_a_kill_that_takes_too_long_counts_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a proof in time the report says how many processes there are, and never 0 in their place."""
    inside = await start_and_run("sleep 1000 &")
    monkeypatch.setattr(sandbox, "KILL_SECONDS", 0.0)
    monkeypatch.setattr(inside._namespace, "kill_now", lambda: None)
    assert (await inside.kill()).processes_left == inside._namespace.count_processes() > 1
    monkeypatch.undo()
    assert (await inside.kill()).processes_left == 0


@on_both_loops
async def test_an_init_that_was_killed_takes_everything_with_it() -> None:
    """Whoever kills the namespace's first process from outside ends the sandbox, and it notices."""
    inside = await start_and_run("sleep 1000 &")
    os.kill(inside._namespace.first_pid, signal.SIGKILL)
    await asyncio.wait_for(inside.wait_ended(), SECONDS)
    assert not inside.is_alive
    assert (await inside.kill()).processes_left == 0


@on_both_loops
async def test_a_killed_bubblewrap_takes_everything_with_it() -> None:
    """Whoever kills the outer ``bwrap`` ends the sandbox as well."""
    inside = await start_and_run("(trap '' TERM HUP; setsid sleep 1000 &)")
    inside._namespace._process.kill()
    await asyncio.wait_for(inside.wait_ended(), SECONDS)
    assert inside._namespace.count_processes() == 0
    await inside.kill()


AGENT = """
import asyncio, json, os, sys
from latchstring.endpoint.sandbox.abandoned import _is_abandoned, end_abandoned
from latchstring.endpoint.sandbox.account import resolve_account
from latchstring.endpoint.sandbox.bubblewrap import launch
from latchstring.endpoint.sandbox.child import ChildExit
from latchstring.endpoint.sandbox.control import control_pair
from latchstring.endpoint.sandbox.environment import session_environment
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.spec import SandboxSpec

async def main():
    inside = await Sandbox.start(SandboxSpec())
    script = "for n in $(seq 20); do (trap '' HUP TERM; setsid sleep 1000 &); done; echo ready; wait; sleep 1000"
    reading, writing = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    await inside.spawn(["sh", "-c", script], program="/bin/sh",
        environment=session_environment(inside.account, {}), descriptors=(null, writing, null))
    os.read(reading, 10)
    print(json.dumps(inside._namespace.first_pid), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGKILL, 1.0), (signal.SIGSTOP, 5.0)])
def test_nothing_survives_its_agent(number: signal.Signals, seconds: float) -> None:
    """An agent that is killed takes its session with it at once; one that is stopped, within five seconds."""
    source = str(Path(latchstring.__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", AGENT], env={**os.environ, "PYTHONPATH": source}, stdout=subprocess.PIPE
    ) as agent:
        assert agent.stdout is not None
        first = json.loads(agent.stdout.readline())
        watch = os.pidfd_open(first)
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        try:
            assert not poll.poll(2 * init.SILENCE_SECONDS * 1000), "the session ended although its agent answers"
            agent.send_signal(number)
            assert poll.poll(seconds * 1000), "the namespace is still there"
        finally:
            agent.kill()
            os.close(watch)


STARTER = AGENT.replace("SandboxSpec()", "SandboxSpec(masked=(__import__('pathlib').Path(sys.argv[1]),))").replace(
    "async def main():", "async def main():\n    print('starting', flush=True)"
)


@pytest.mark.parametrize("milliseconds", [0, 2, 4, 6, 8, 12, 16, 24])
def test_nothing_survives_an_agent_that_is_killed_while_it_starts_one(tmp_path: Path, milliseconds: int) -> None:
    """An agent that gets SIGKILL while a sandbox starts leaves, at worst, what its successor clears away."""
    source = str(Path(latchstring.__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": source},
        stdout=subprocess.PIPE,
    ) as agent:
        assert agent.stdout is not None
        agent.stdout.readline()
        select.select([], [], [], milliseconds / 1000)  # the moment is what varies
        agent.kill()
    wait_until(lambda: not living(tmp_path), "every process but those that wait in vain to be gone", SECONDS)

    def cleared() -> bool:
        # A bwrap whose exec had only begun may come to its end, and leave its first process, after the look above.
        end_abandoned()
        return not processes_that_know(tmp_path)

    wait_until(cleared, "every process to be gone", SECONDS)


def living(mask: Path) -> list[int]:
    """Return those processes that do not wait in vain."""
    found = []
    for pid in processes_that_know(mask):
        with contextlib.suppress(OSError):  # it has gone meanwhile
            if not _is_abandoned(Path(f"/proc/{pid}")):
                found.append(pid)
    return found


def test_what_waits_in_vain_is_ended_and_nothing_else() -> None:
    """A first process whose ``bwrap`` was killed before it could go on is found and ended; a running sandbox is not."""

    async def scenario() -> None:
        inside = await Sandbox.start(SandboxSpec())
        end_abandoned()
        assert inside.is_alive
        await inside.kill()

    asyncio.run(scenario())
    for attempt in range(200):
        ours, theirs = control_pair()
        launched = launch(resolve_account(None), SandboxSpec(), theirs)
        theirs.close()
        select.select([], [], [], attempt % 20 / 5000)  # somewhere in the first 4 ms lies the moment
        launched.process.kill()
        launched.process.wait()
        assert launched.process.stderr is not None
        launched.process.stderr.close()
        os.close(launched.status)
        ours.close()
        if end_abandoned():
            return
    pytest.skip("the moment was not hit")


def processes_that_know(mask: Path) -> list[int]:
    """Return the living processes that have ``mask`` on their command line or among their mounts."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                known = (entry / "cmdline").read_bytes() + (entry / "mountinfo").read_bytes()
                if str(mask).encode() in known:
                    found.append(int(entry.name))
    return found
