"""The pipes that bytes are spliced through, pooled: a connection has one only while bytes are in it."""

import fcntl
import os
from typing import Final

PIPE_BYTES: Final = 1024 * 1024
"""The size that is asked for, Linux's default limit. It sets how many pieces a pipe holds: each takes a page's worth
of size, however small it is."""
_IDLE_PIPES: Final = 16


class Pipe:
    """A non-blocking pipe, owned by one direction of one pair at a time."""

    __slots__ = ("read_end", "write_end")

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def enlarge(self) -> bool:
        """Ask for :data:`PIPE_BYTES`. Return False if the user's share of pipe memory is used up: it stays small."""
        try:
            fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Give the descriptors back, and drop what is in the pipe."""
        os.close(self.read_end)
        os.close(self.write_end)


class PipePool:
    """Lends empty pipes and keeps a few for the next borrower."""

    def __init__(self) -> None:
        self._idle: list[Pipe] = []
        self._lent = 0

    @property
    def lent(self) -> int:
        """The number of pipes that are with a direction now."""
        return self._lent

    def borrow(self) -> Pipe:
        """Return an empty pipe.

        Raises:
            OSError: no pipe is idle, and the process or the system has no descriptors left.
        """
        pipe = self._idle.pop() if self._idle else self._make()
        self._lent += 1
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """Take back a pipe that is empty."""
        self._lent -= 1
        if len(self._idle) < _IDLE_PIPES:
            self._idle.append(pipe)
        else:
            pipe.close()

    def discard(self, pipe: Pipe) -> None:
        """Take back a pipe with bytes in it, and drop them."""
        self._lent -= 1
        pipe.close()

    def close(self) -> None:
        """Close the pipes that are idle."""
        while self._idle:
            self._idle.pop().close()

    @staticmethod
    def _make() -> Pipe:
        pipe = Pipe()
        pipe.enlarge()
        return pipe
