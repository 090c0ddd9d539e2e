"""One connection from its acceptance until it is paired or closed: its preamble, and its patience."""

import asyncio
import socket
from typing import Final, Protocol

from latchstring.controller.relay import sockets
from latchstring.protocol.dial import PREAMBLE_BYTES, PreambleError, Status, check_beginning

_WOULD_BLOCK: Final = (BlockingIOError, InterruptedError)


class ArrivalObserver(Protocol):
    """Who is told what becomes of an arrival. The arrival has not been closed when it is called."""

    def preamble_received(self, arrival: "Arrival", received: bytes) -> None:
        """A preamble is complete; not a byte after it was read."""

    def garbage_received(self, arrival: "Arrival") -> None:
        """What came cannot become a preamble."""

    def arrival_left(self, arrival: "Arrival") -> None:
        """The peer went away."""

    def arrival_timed_out(self, arrival: "Arrival") -> None:
        """The peer was neither paired nor closed in time."""


class Arrival:
    """A connection that is not paired yet.

    Attributes:
        source: the address, or the part of it, that limits are counted by.
    """

    def __init__(
        self,
        connection: socket.socket,
        source: str,
        *,
        loop: asyncio.AbstractEventLoop,
        observer: ArrivalObserver,
        seconds: float,
    ) -> None:
        self.source = source
        self._connection = connection
        self._loop = loop
        self._observer = observer
        self._received = b""
        self._timer = loop.call_later(seconds, observer.arrival_timed_out, self)
        loop.add_reader(connection.fileno(), self._read_preamble)

    def wait(self) -> None:
        """Wait for the other side; only notice if the peer goes away meanwhile."""
        self._loop.add_reader(self._connection.fileno(), self._notice_leaving)

    def release(self) -> socket.socket:
        """Give up the connection to the caller, who owns it from here on."""
        self._timer.cancel()
        self._loop.remove_reader(self._connection.fileno())
        return self._connection

    def close(self, status: Status) -> None:
        """Answer, and close."""
        sockets.close_with(self.release(), status.wire)

    def _read_preamble(self) -> None:
        """Read all that is there, and no further than the preamble goes.

        One read for each call would not do: libuv tells of a connection that broke once only.
        """
        try:
            while len(self._received) < PREAMBLE_BYTES:
                read = self._connection.recv(PREAMBLE_BYTES - len(self._received))
                if not read:
                    self._observer.arrival_left(self)
                    return
                self._received += read
                check_beginning(self._received)
        except _WOULD_BLOCK:
            return
        except OSError:
            self._observer.arrival_left(self)
        except PreambleError:
            self._observer.garbage_received(self)
        else:
            self._loop.remove_reader(self._connection.fileno())
            self._observer.preamble_received(self, self._received)

    def _notice_leaving(self) -> None:
        try:
            read = self._connection.recv(1, socket.MSG_PEEK)
        except _WOULD_BLOCK:
            return
        except OSError:
            read = b""
        if read:
            # It speaks before it is paired. The byte stays in the kernel for the other side; the time limit holds.
            self._loop.remove_reader(self._connection.fileno())
        else:
            self._observer.arrival_left(self)
