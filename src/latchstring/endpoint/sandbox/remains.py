"""What is left of the sandboxes of an agent that died, and its end, with proof.

A sandbox dies with its agent (``sandbox``). Whoever starts the next agent on the same data directory, and so holds its
lock, does not take that on trust: it looks for first processes of sandboxes with its label, ends those that there are,
and waits until the kernel says that they are gone. No process of a PID namespace outlives its first
(pid_namespaces(7)).
"""

import contextlib
import hashlib
import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from latchstring.endpoint.sandbox import init

END_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Remains:
    """What an agent's start found.

    Attributes:
        processes_left: of first processes, after their end; more than 0 takes an uninterruptible sleep.
        seconds: what it took.
    """

    processes_left: int
    seconds: float


def label_of(directory: Path) -> str:
    """Return the label of a data directory's sandboxes, which stands on the command line of their first processes."""
    return "latchstring-" + hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16]


def end_remains(label: str) -> Remains:
    """End every sandbox with this label, and wait for its end. Takes as long as the kernel does; blocks."""
    began = time.monotonic()
    watches = list(_first_processes(label))
    try:
        for watch in watches:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(watch, signal.SIGKILL)
        left = [watch for watch in watches if not _ends(watch, began + END_SECONDS - time.monotonic())]
    finally:
        for watch in watches:
            os.close(watch)
    return Remains(len(left), time.monotonic() - began)


def _ends(watch: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


def _first_processes(label: str) -> Iterator[int]:
    """Yield a descriptor (pidfd) of each first process of a sandbox with this label."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                watch = os.pidfd_open(int(entry.name))  # first, so that what is looked at is what is ended
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if init.__file__.encode() in words and label.encode() in words and _is_first(entry):
                    yield watch
                else:
                    os.close(watch)


def _is_first(entry: Path) -> bool:
    status = (entry / "status").read_text().splitlines()
    numbers = next((line.split()[1:] for line in status if line.startswith("NSpid:")), [])
    return len(numbers) > 1 and numbers[-1] == "1"
