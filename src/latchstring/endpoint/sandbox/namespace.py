"""The PID namespace of a sandbox, held by a pidfd on its first process, and the proof that it is empty.

SIGKILL to the first process makes the kernel kill every other process of the namespace, and the first becomes a zombie,
which makes its pidfd readable, only after all others have been reaped (``zap_pid_ns_processes()`` in Linux'
kernel/pid_namespace.c). So a readable pidfd is the proof that nothing is left. A delegated control group would be one
more way to kill, and belongs into :meth:`Namespace.kill_now`.

``bwrap`` reports the first process before it lets it run. Until then there is nothing to kill: a kill that comes
earlier is carried out the moment the report arrives. Killing the outer ``bwrap`` instead would leave processes behind.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

from latchstring.endpoint.sandbox.bubblewrap import Launched

_MAX_STATUS_BYTES: Final = 16 * 1024
_MAX_COMPLAINT_BYTES: Final = 400
_DEAD: Final = (b"Z", b"X")


class Namespace:
    """What ``bwrap`` has made, from its start to its proven end.

    Attributes:
        identified: done once :attr:`first_pid` is known, or will never be.
        ended: done once no process of the namespace is left.
        reaped: done once the outer ``bwrap`` has been reaped too, so that nothing at all is left.
        first_pid: the first process, in our own PID namespace; 0 while unknown.
    """

    def __init__(self, launched: Launched) -> None:
        self._loop = asyncio.get_running_loop()
        self.identified: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.reaped: asyncio.Future[None] = self._loop.create_future()
        self.first_pid = 0
        self._process = launched.process
        self._complaints = cast("IO[bytes]", launched.process.stderr)
        self._complaint = b""
        self._status = launched.status
        self._status_bytes = b""
        self._kill_wanted = False
        self._inode = 0
        self._pidfd = -1
        self._outer = os.pidfd_open(launched.process.pid)
        os.set_blocking(self._complaints.fileno(), False)
        self._loop.add_reader(self._status, self._status_readable)
        self._loop.add_reader(self._outer, self._outer_exited)

    @property
    def complaint(self) -> str:
        """What ``bwrap`` said on standard error, on one line."""
        return " ".join(self._complaint.decode(errors="replace").split()) or "bubblewrap gave no reason"

    def kill_now(self) -> None:
        """Send the kill, without waiting: now, or as soon as there is something to kill."""
        self._kill_wanted = True
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def count_processes(self) -> int:
        """Count the living processes of the namespace, the first included, as ``/proc`` shows them now."""
        return len(self.processes())

    def processes(self) -> list[int]:
        """Return the living processes of the namespace, as ``/proc`` shows them now."""
        return [pid for pid, inode in _namespaces_of_processes() if inode == self._inode]

    def _status_readable(self) -> None:
        try:
            piece = os.read(self._status, _MAX_STATUS_BYTES)
        except BlockingIOError:
            return
        self._status_bytes += piece
        lines = self._status_bytes.split(b"\n")
        self._status_bytes = lines.pop()
        for line in lines:
            self._take_status(line)
        if not piece or len(self._status_bytes) > _MAX_STATUS_BYTES:
            self._close_status()

    def _take_status(self, line: bytes) -> None:
        report = json.loads(line)
        if "child-pid" in report and not self.first_pid:
            self._identify(int(report["child-pid"]))

    def _identify(self, pid: int) -> None:
        try:
            # bwrap has not reaped it as long as bwrap lives, and whoever starts the session verifies that the init
            # is this process, so the number cannot have passed to another.
            self._pidfd = os.pidfd_open(pid)
            self._inode = Path(f"/proc/{pid}/ns/pid").stat().st_ino
        except OSError:
            if self._pidfd < 0:
                return  # it is gone already, and the end of bwrap tells
        self.first_pid = pid
        self._loop.add_reader(self._pidfd, self._first_exited)
        if self._kill_wanted:
            self.kill_now()
        if not self.identified.done():
            self.identified.set_result(None)

    def _first_exited(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self._finish(self.ended)

    def _outer_exited(self) -> None:
        self._loop.remove_reader(self._outer)
        os.close(self._outer)
        self._process.wait()
        self._complaint = self._complaints.read(_MAX_COMPLAINT_BYTES) or b""
        self._complaints.close()
        if self._status >= 0:
            self._status_readable()
            self._close_status()
        if self._pidfd < 0:
            self._finish(self.ended)
        self._finish(self.identified)
        self._finish(self.reaped)

    def _close_status(self) -> None:
        if self._status >= 0:
            self._loop.remove_reader(self._status)
            os.close(self._status)
            self._status = -1

    @staticmethod
    def _finish(future: "asyncio.Future[None]") -> None:
        if not future.done():
            future.set_result(None)


def _namespaces_of_processes() -> Iterator[tuple[int, int]]:
    """Yield pid and PID namespace of each process but zombies, which are dead and wait for their parents only."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                state = (entry / "stat").read_bytes().rpartition(b") ")[2][:1]
                if state not in _DEAD:
                    yield int(entry.name), (entry / "ns" / "pid").stat().st_ino
