"""What all processes of a session may use together, with the kernel's own control groups."""

import asyncio
import os
from pathlib import Path

import pytest

from eventually import eventually
from latchstring.endpoint.sandbox.confinement import Confinement
from latchstring.endpoint.sandbox.control_group import (
    ControlGroup,
    Hierarchies,
    Limits,
    current_hierarchies,
    find_hierarchies,
)
from latchstring.endpoint.sandbox.environment import session_environment
from latchstring.endpoint.sandbox.errors import SandboxUnavailableError
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.spec import SandboxSpec

SPEC = SandboxSpec(label="latchstring-test")
SECONDS = 30
MEBIBYTE = 1024 * 1024
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


async def run(inside: Sandbox, script: str) -> str:
    """Run a script inside, and return what it said."""
    reading, writing = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    child = await inside.spawn(
        ["sh", "-c", script],
        program="/bin/sh",
        environment=session_environment(inside.account, {}),
        descriptors=(nothing, writing, writing),
    )
    os.close(writing)
    os.close(nothing)
    await asyncio.wait_for(child.wait(), SECONDS)
    os.set_blocking(reading, False)
    try:
        return os.read(reading, 65536).decode(errors="replace")
    except BlockingIOError:
        return ""
    finally:
        os.close(reading)


def groups() -> list[Path]:
    """Return the groups of this test's sandboxes."""
    found = current_hierarchies()
    points = {*found.controllers.values(), *([found.unified] if found.unified else [])}
    return [folder for point in points for folder in (point / "latchstring").glob(f"{SPEC.label}-*")]


@as_root
async def test_processes_are_limited_together() -> None:
    """A session that forks without end gets so many processes and no more, and dies with all of them."""
    inside = await Confinement().start(SPEC, Limits(processes=40))
    said = await run(inside, "for n in $(seq 100); do sleep 100 & done; echo started")
    assert "fork" in said
    assert len(inside.processes()) <= 40
    assert (await inside.kill()).processes_left == 0
    await eventually(lambda: groups() == [], "the groups to be removed")


@as_root
async def test_memory_is_limited_together() -> None:
    """A process that takes more memory than the session has is killed; the session lives on."""
    inside = await Confinement().start(SPEC, Limits(memory=64 * MEBIBYTE))
    hog = "head -c 200000000 /dev/zero | tail -c 200000000 > /dev/null; echo ended with $?"
    assert "ended with 0" not in await run(inside, hog)
    assert await run(inside, "echo on") == "on\n"
    await inside.kill()


@as_root
async def test_processors_are_limited_together() -> None:
    """A session with a tenth of a processor gets about that of the processors' time."""
    inside = await Confinement().start(SPEC, Limits(cpus=0.1))
    burn = "timeout 2 sh -c 'while :; do :; done'; cat /proc/1/cgroup > /dev/null; times | tail -n 1"
    said = await run(inside, burn)
    minutes, _, seconds = said.split()[0].partition("m")
    assert int(minutes) == 0
    assert float(seconds.rstrip("s")) < 1.0
    await inside.kill()


async def test_limits_that_cannot_be_kept_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no control group, a policy that limits memory opens nothing, and says why; nothing is left."""
    monkeypatch.setattr("latchstring.endpoint.sandbox.confinement.current_hierarchies", lambda: Hierarchies(None, {}))
    with pytest.raises(SandboxUnavailableError, match=r"\[limits\] memory and cpus cannot be kept"):
        await Confinement().start(SPEC, Limits(memory=64 * MEBIBYTE, cpus=1.0))
    inside = await Confinement().start(SPEC, Limits(processes=4096))
    assert await run(inside, "bash -c 'ulimit -u'") == "4096\n"
    await inside.kill()


def test_where_groups_are_mounted() -> None:
    """Both versions are found, a hybrid of them too."""
    text = (
        "cgroup /sys/fs/cgroup/cpu cgroup rw,nosuid,cpu 0 0\n"
        "cgroup /sys/fs/cgroup/pm cgroup rw,pids,memory 0 0\n"
        "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nosuid 0 0\nproc /proc proc rw 0 0\n"
    )
    found = find_hierarchies(text)
    assert found.unified == Path("/sys/fs/cgroup/unified")
    assert found.controllers == {
        "cpu": Path("/sys/fs/cgroup/cpu"),
        "pids": Path("/sys/fs/cgroup/pm"),
        "memory": Path("/sys/fs/cgroup/pm"),
    }


def test_a_place_that_is_not_ours(tmp_path: Path) -> None:
    """A hierarchy that cannot be written is as good as none."""
    (tmp_path / "latchstring").touch()
    group = ControlGroup.create("x", Limits(memory=1, processes=1, cpus=1.0), Hierarchies(tmp_path, {}))
    assert group.missing == ("memory", "pids", "cpu")
