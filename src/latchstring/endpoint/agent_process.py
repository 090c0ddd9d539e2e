"""Which process is the agent of a data directory, and how to end it when it no longer answers.

A pid alone may have been given to another process since. So the lock file also holds the time at which its process
started (``/proc/PID/stat``, field 22, in clock ticks since boot), and a signal goes through a pidfd that was opened
before that time was compared.
"""

import contextlib
import fcntl
import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from latchstring.certs.keyfiles import PRIVATE_MODE, give_to_owner
from latchstring.endpoint.errors import DataDirectoryInUseError

_MAX_LOCK_BYTES: Final = 64
_RETRY_SECONDS: Final = 0.05
_START_TIME_FIELD: Final = 19
"""Of ``/proc/PID/stat``, counted from 0 after the command's closing parenthesis."""


@dataclass(frozen=True, slots=True)
class AgentProcess:
    """The process that holds a data directory."""

    pid: int
    start_time: int


def start_time_of(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if there is no such process."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(status.rpartition(")")[2].split()[_START_TIME_FIELD])


@contextlib.contextmanager
def hold_lock(path: Path, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock file at ``path``; the kernel lets go if this process dies.

    Raises:
        DataDirectoryInUseError: another process held it for ``wait_seconds``.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_MODE)
    try:
        give_to_owner(descriptor, path.parent)
        deadline = time.monotonic() + wait_seconds
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, _MAX_LOCK_BYTES, 0).decode("ascii", "replace").split()
                raise DataDirectoryInUseError(
                    f"{path.parent} is in use by another process (pid {holder[0] if holder else 'unknown'}); "
                    f"stop that one first"
                )
            time.sleep(_RETRY_SECONDS)
        with contextlib.suppress(OSError):  # a full disk must not keep the agent, or `access off`, from working
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {start_time_of(os.getpid())}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def find_agent(path: Path) -> AgentProcess | None:
    """Return the process that holds the lock file at ``path`` now, or None."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if _try_lock(descriptor):
            return None
        fields = os.pread(descriptor, _MAX_LOCK_BYTES, 0).decode("ascii", "replace").split()
        owner = os.fstat(descriptor).st_uid
    finally:
        os.close(descriptor)
    try:
        pid, start_time = (int(field) for field in fields)
    except ValueError:
        return None
    if _user_of(pid) != owner:
        return None  # whoever may write the file must not have root end another's process
    return AgentProcess(pid, start_time)


def kill_agent(process: AgentProcess, *, wait_seconds: float) -> int:
    """Kill an agent and wait until it and every process below it are dead.

    Its sandboxes die with it: each is a child that the kernel kills when the agent's thread ends.

    Returns:
        How many of its processes are still there after ``wait_seconds``.
    """
    with contextlib.ExitStack() as stack:
        agent = _open_pidfd(process.pid, stack)
        if agent is None or start_time_of(process.pid) != process.start_time:
            return 0
        family = [agent, *(fd for pid in _descendants(process.pid) if (fd := _open_pidfd(pid, stack)) is not None)]
        signal.pidfd_send_signal(agent, signal.SIGKILL)
        return _wait_for_end(family, wait_seconds)


def _user_of(pid: int) -> int | None:
    """Return the user that a process acts as; None if there is no such process."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[2]) for line in lines if line.startswith("Uid:"))


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open_pidfd(pid: int, stack: contextlib.ExitStack) -> int | None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    stack.callback(os.close, descriptor)
    return descriptor


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        for listing in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                children = [int(child) for child in listing.read_text().split()]
                found += children
                waiting += children
    return found


def _wait_for_end(descriptors: list[int], seconds: float) -> int:
    deadline = time.monotonic() + seconds
    alive = set(descriptors)
    while alive and (left := deadline - time.monotonic()) > 0:
        poll = select.poll()
        for descriptor in alive:
            poll.register(descriptor, select.POLLIN)
        alive -= {descriptor for descriptor, _ in poll.poll(left * 1000)}
    return len(alive)
