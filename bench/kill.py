"""Killing sessions: 20 at once, each with children that ignore signals, from the first signal to the last proof."""

import asyncio
import os
import statistics
import time
from typing import Final

import uvloop

from bench.result import Result
from latchstring.endpoint.sandbox.confinement import Confinement
from latchstring.endpoint.sandbox.control_group import Limits
from latchstring.endpoint.sandbox.environment import session_environment
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.spec import SandboxSpec

_SESSIONS: Final = 20
_CHILDREN: Final = 10
_MANY: Final = 400
_STUBBORN: Final = """
    for n in $(seq {children}); do (trap '' HUP INT TERM; setsid sh -c 'while :; do sleep 1000; done' &); done
    echo ready; exec sleep 1000"""


def run(*, quick: bool) -> list[Result]:
    """Measure, and return the rows."""
    return uvloop.run(_measure(5 if quick else 50))


async def _measure(rounds: int) -> list[Result]:
    twenty = [await _kill(_SESSIONS, _CHILDREN // 2) for _ in range(rounds)]
    many = [await _kill(1, _MANY // 2) for _ in range(rounds)]  # each child is a shell and a sleep
    confinement = Confinement()
    starts = [await _start(confinement) for _ in range(rounds)]
    return [
        Result(
            name=f"kill {_SESSIONS} sessions of {_CHILDREN} processes that ignore signals, p99",
            unit="ms",
            measured=_p99(twenty),
            must=250,
            aim=50,
            at_most=True,
        ),
        Result(
            name=f"kill a session of {_MANY} processes that ignore signals, p99",
            unit="ms",
            measured=_p99(many),
            must=300,
            at_most=True,
        ),
        Result(name="start a sandbox as a grant does, median", unit="ms", measured=statistics.median(starts)),
    ]


def _p99(figures: list[float]) -> float:
    return sorted(figures)[min(len(figures) - 1, int(len(figures) * 0.99))]


async def _start(confinement: Confinement) -> float:
    began = time.perf_counter()
    sandbox = await confinement.start(SandboxSpec(), Limits())
    milliseconds = 1000 * (time.perf_counter() - began)
    await sandbox.kill()
    return milliseconds


async def _kill(sessions: int, children: int) -> float:
    """Return the milliseconds from the first signal until the last of ``sessions`` is proven empty."""
    sandboxes = [await Sandbox.start(SandboxSpec()) for _ in range(sessions)]
    await asyncio.gather(*(_fill(sandbox, children) for sandbox in sandboxes))
    began = time.perf_counter()
    for sandbox in sandboxes:
        sandbox.kill_now()
    reports = await asyncio.gather(*(sandbox.kill() for sandbox in sandboxes))
    milliseconds = 1000 * (time.perf_counter() - began)
    assert not any(report.processes_left for report in reports)
    return milliseconds


async def _fill(sandbox: Sandbox, children: int) -> None:
    reading, writing = os.pipe()
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    await sandbox.spawn(
        ["sh", "-c", _STUBBORN.format(children=children)],
        program="/bin/sh",
        environment=session_environment(sandbox.account, {}),
        descriptors=(nothing, writing, nothing),
    )
    os.close(writing)
    os.close(nothing)
    ready = asyncio.Event()
    asyncio.get_running_loop().add_reader(reading, ready.set)
    await ready.wait()
    asyncio.get_running_loop().remove_reader(reading)
    os.close(reading)
