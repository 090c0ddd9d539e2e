"""Pumps between a channel and descriptors of the kernel: pipes, terminals, sockets.

Ours rather than ``asyncssh``'s ``redirect``, which reads 8 KiB at a time and ends the whole connection when data comes
after a channel's end. Both directions keep back-pressure: an :class:`OutputPump` does not read while the channel or the
connection takes no more, an :class:`InputPump` says when it is full.
"""

import asyncio
import contextlib
import fcntl
import os
from collections import deque
from collections.abc import Callable
from enum import Flag, auto
from typing import Final

PIPE_BYTES: Final = 1024 * 1024
READ_BYTES: Final = 64 * 1024
"""Read at once. Pieces of 8 KiB take twice the processor time. With 256 KiB, glibc gives the memory back to the kernel
after each piece and takes it anew, at two page faults for 8 KiB, which takes twice the time as well."""

_PIECES_IN_A_TURN: Final = 4


class Hold(Flag):
    """Why an output pump does not read now."""

    NOTHING = 0
    CHANNEL = auto()
    CONNECTION = auto()


class OutputPump:
    """Moves what comes out of a descriptor, until its end. Owns the descriptor.

    Attributes:
        count: bytes so far.
        ended: set at the end of the descriptor, or when stopped.
    """

    def __init__(self, descriptor: int, deliver: Callable[[bytes], None]) -> None:
        self.count = 0
        self.ended = asyncio.Event()
        self._descriptor = descriptor
        self._deliver = deliver
        self._hold = Hold.NOTHING
        self._loop = asyncio.get_running_loop()
        os.set_blocking(descriptor, False)
        self._loop.add_reader(descriptor, self._turn)

    def hold(self, why: Hold) -> None:
        """Do not read as long as there is a reason not to."""
        if not self._hold and not self.ended.is_set():
            self._loop.remove_reader(self._descriptor)
        self._hold |= why

    def release(self, why: Hold) -> None:
        """Read again once no reason is left."""
        was = self._hold
        self._hold &= ~why
        if was and not self._hold and not self.ended.is_set():
            self._loop.add_reader(self._descriptor, self._turn)

    def stop(self) -> None:
        """Stop, and close the descriptor. Safe to call twice."""
        if not self.ended.is_set():
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self.ended.set()

    def _turn(self) -> None:
        for _ in range(_PIECES_IN_A_TURN):
            if not self._move() or self._hold:
                return

    def _move(self) -> bool:
        """Move one piece. Return whether there may be more now."""
        try:
            piece = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody has the other side of the terminal open any more; or the peer reset
            piece = b""
        if not piece:
            self.stop()
            return False
        self.count += len(piece)
        self._deliver(piece)
        return len(piece) == READ_BYTES and not self.ended.is_set()


class InputPump:
    """Moves what a channel receives into a descriptor, which it owns.

    Before :meth:`open` it keeps what comes. If nobody reads any more, it throws away what comes.

    Attributes:
        count: bytes that have been handed on.
        ended: set once the descriptor is finished, or when stopped.
    """

    def __init__(self, *, on_full: Callable[[], None], on_drained: Callable[[], None]) -> None:
        self.count = 0
        self.ended = asyncio.Event()
        self._on_full = on_full
        self._on_drained = on_drained
        self._waiting: deque[bytes] = deque()
        self._descriptor = -1
        self._finish: Callable[[int], None] = os.close
        self._finishing = False
        self._loop = asyncio.get_running_loop()

    def open(self, descriptor: int, finish: Callable[[int], None] = os.close) -> None:
        """Begin to write.

        Args:
            descriptor: where to; ours from now on.
            finish: called once after the last byte.
        """
        if self.ended.is_set():
            finish(descriptor)
            return
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._finish = finish
        self._turn()

    def feed(self, data: bytes) -> None:
        """Hand on ``data``, or keep it and say that we are full."""
        if self.ended.is_set():
            return
        self._waiting.append(data)
        if len(self._waiting) == 1:
            self._turn()

    def finish(self) -> None:
        """No more comes: finish the descriptor after the last byte."""
        self._finishing = True
        if self._descriptor >= 0 and not self._waiting:
            self.stop()

    def stop(self) -> None:
        """Finish the descriptor now; what waits is thrown away. Safe to call twice."""
        self.ended.set()
        self._waiting.clear()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._loop.remove_writer(descriptor)
            with contextlib.suppress(OSError):
                self._finish(descriptor)

    def _turn(self) -> None:
        try:
            self._write()
        except OSError:  # nobody reads any more
            self.stop()
        if self._waiting:
            self._on_full()
            if self._descriptor >= 0:
                self._loop.add_writer(self._descriptor, self._turn)
            return
        if self._descriptor >= 0:
            self._loop.remove_writer(self._descriptor)
        if self._finishing and self._descriptor >= 0:
            self.stop()
        else:
            self._on_drained()

    def _write(self) -> None:
        while self._waiting and self._descriptor >= 0:
            piece = self._waiting[0]
            try:
                count = os.write(self._descriptor, piece)
            except BlockingIOError:
                return
            self.count += count
            if count < len(piece):
                self._waiting[0] = piece[count:]
            else:
                self._waiting.popleft()


def wide_pipe() -> tuple[int, int]:
    """Return the two ends of a pipe that is as wide as the kernel allows us, up to :data:`PIPE_BYTES`."""
    reading, writing = os.pipe()
    with contextlib.suppress(OSError):  # above the limit of an ordinary user
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reading, writing
