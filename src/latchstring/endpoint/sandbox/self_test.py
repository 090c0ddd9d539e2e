"""Whether this machine can confine a session: by starting a sandbox, looking at it from inside, and killing it."""

import asyncio
import os
from typing import Final

from latchstring.endpoint.sandbox.abandoned import end_abandoned
from latchstring.endpoint.sandbox.environment import session_environment
from latchstring.endpoint.sandbox.errors import SandboxError, SandboxUnavailableError
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.spec import SandboxSpec

TEST_SECONDS: Final = 20.0
_MAX_REPORT_BYTES: Final = 64 * 1024

# Prints the capabilities of a session's process, that it can gain none, that it has a filter and cannot make a user
# namespace, which processes it sees, whether it can change what the kernel runs outside (the file is opened to append,
# and nothing is written), which directory is where a masked one was, and whether there is something in it.
_LOOK: Final = """
for fact in CapPrm NoNewPrivs Seccomp; do sed -n "s/^$fact:[[:space:]]*/$fact /p" /proc/self/status; done
unshare --user true && echo "user namespace"
for entry in /proc/[0-9]*; do echo "process ${entry#/proc/}"; done
(: >> /proc/sys/kernel/core_pattern) && echo "kernel writable"
for directory; do stat -c 'directory %d:%i' "$directory"; done
for directory; do for entry in "$directory"/* "$directory"/.[!.]*; do [ -e "$entry" ] && echo "unmasked"; done; done
echo complete
"""
_MOST_PROCESSES: Final = 4  # init, the shell and what it runs


async def self_test(spec: SandboxSpec) -> None:
    """Start a sandbox as ``spec`` says, check that it confines, and that killing it leaves nothing.

    Before that it clears away what an earlier agent may have left: see ``abandoned``.

    Raises:
        SandboxUnavailableError: it does not; no session may start on this machine. The text says why, and what to do.
    """
    end_abandoned()
    sandbox = await Sandbox.start(spec)
    try:
        async with asyncio.timeout(TEST_SECONDS):
            report = await _look(sandbox, spec)
        _judge(report)
        _judge_masks(report, spec)
    except TimeoutError as error:
        raise SandboxUnavailableError("the sandbox does not answer") from error
    except SandboxUnavailableError:
        raise
    except SandboxError as error:
        raise SandboxUnavailableError(f"the sandbox does not work: {error}") from error
    finally:
        killed = await sandbox.kill()
    if killed.processes_left:
        raise SandboxUnavailableError("the kernel did not kill all processes of the sandbox in time")


async def _look(sandbox: Sandbox, spec: SandboxSpec) -> list[str]:
    reading, writing = os.pipe()
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        child = await sandbox.spawn(
            ["sh", "-c", _LOOK, "sh", *(str(directory.resolve()) for directory in spec.masked)],
            program="/bin/sh",
            environment=session_environment(sandbox.account, {}),
            descriptors=(nothing, writing, nothing),
        )
        await child.wait()
        os.set_blocking(reading, False)
        return os.read(reading, _MAX_REPORT_BYTES).decode(errors="replace").splitlines()
    except BlockingIOError:
        return []
    finally:
        for descriptor in (reading, writing, nothing):
            os.close(descriptor)


def _judge(report: list[str]) -> None:
    if "complete" not in report:
        raise SandboxUnavailableError("the sandbox's processes do not run; is /bin/sh there?")
    facts = [line.split(" ") for line in report]
    if ["CapPrm", "0" * 16] not in facts or ["NoNewPrivs", "1"] not in facts:
        raise SandboxUnavailableError("bubblewrap does not drop privileges here; version 0.8 or later is needed")
    if sum(fact[0] == "process" for fact in facts) > _MOST_PROCESSES:
        raise SandboxUnavailableError("processes outside the sandbox are visible inside; is /proc mountable here?")
    if ["Seccomp", "2"] not in facts or "user namespace" in report:
        raise SandboxUnavailableError("sessions could make user namespaces here; does the kernel have seccomp filters?")
    if "kernel writable" in report:
        raise SandboxUnavailableError("the kernel's settings are not read-only inside the sandbox")


def _judge_masks(report: list[str], spec: SandboxSpec) -> None:
    outside = [directory.stat() for directory in spec.masked]
    real = {f"directory {status.st_dev}:{status.st_ino}" for status in outside}
    inside = [line for line in report if line.startswith("directory ")]
    if "unmasked" in report or len(inside) != len(outside) or not real.isdisjoint(inside):
        raise SandboxUnavailableError("the directories to hide are not hidden inside the sandbox")
