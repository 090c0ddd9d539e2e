"""The pump: two sockets spliced together in both directions, without a byte in user space.

Each direction reads its source into a pipe and the pipe into its sink (``splice(2)``). It borrows the pipe when there
is something to read and gives it back when the pipe is empty, so an idle pair holds none. While the sink takes no
more, the source is not read, so its peer is slowed down by TCP itself. When the source ends, the sink is told so after
the last byte (half-close), and the other direction goes on.

A turn of the event loop moves a bounded number of bytes for each direction, so that no stream starves another. A turn
that stops at that bound calls for the next one itself: libuv tells of a connection that broke once only, and then no
more of the bytes that came before.
"""

import asyncio
import os
import select
import socket
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from latchstring.controller.relay import sockets
from latchstring.controller.relay.pipes import Pipe, PipePool

_BYTES_PER_FILL: Final = 512 * 1024
"""At most this much is in a pipe, and so held for a sink that takes no more."""
_BYTES_PER_TURN: Final = 512 * 1024
_SPLICE_FLAGS: Final = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_NO_PIPE_RETRY_SECONDS: Final = 0.05


class PairEnding(StrEnum):
    """How a pair came to its end."""

    FINISHED = "finished"
    BROKEN = "broken"
    CUT = "cut"


class _Direction:
    """From one socket to the other.

    Attributes:
        delivered: bytes that the sink has taken.
        source_ended: the source's peer sends no more.
        ended: and the sink has been told so, after the last byte.
    """

    def __init__(self, pair: "SplicedPair", source: socket.socket, sink: socket.socket) -> None:
        self.delivered = 0
        self.source_ended = False
        self.ended = False
        self._pair = pair
        self._source = source.fileno()
        self._sink = sink.fileno()
        self._sink_socket = sink
        self._pipe: Pipe | None = None
        self._in_pipe = 0
        self._reading = False
        self._writing = False
        self._next_turn: asyncio.Handle | None = None

    def start(self) -> None:
        """Read the source from now on."""
        self._wait_for_source()

    def stop(self) -> None:
        """Leave the event loop and give up the pipe, with what is in it."""
        self._wait_for_nothing()
        if self._pipe is not None:
            give_up = self._pair.pool.discard if self._in_pipe else self._pair.pool.give_back
            give_up(self._pipe)
            self._pipe = None

    def _turn(self) -> None:
        """Move bytes until the source has none, the sink takes none, or it is another's turn."""
        self._cancel_next_turn()
        pipe = self._pipe or self._borrow()
        if pipe is None:
            return
        try:
            self._move(pipe)
        except OSError:
            self._pair.end(PairEnding.BROKEN)
            return
        if self.ended:
            self._pair.direction_ended()

    def _borrow(self) -> Pipe | None:
        """Borrow a pipe. Without descriptors for one, leave the bytes where they are, for a moment."""
        try:
            self._pipe = self._pair.pool.borrow()
        except OSError:
            self._wait_for_nothing()
            self._next_turn = self._pair.loop.call_later(_NO_PIPE_RETRY_SECONDS, self._turn)
        return self._pipe

    def _move(self, pipe: Pipe) -> None:
        limit = self.delivered + _BYTES_PER_TURN
        while self._drain(pipe):
            if self.source_ended:
                self._finish(pipe)
                return
            at_limit = self.delivered >= limit
            if at_limit or not self._fill(pipe):
                self._rest(pipe, ready=at_limit)
                return
        self._wait_for_sink()

    def _fill(self, pipe: Pipe) -> bool:
        """Move bytes from the source into the empty pipe. Return False if there is nothing to read yet."""
        try:
            count = os.splice(self._source, pipe.write_end, _BYTES_PER_FILL, flags=_SPLICE_FLAGS)
        except BlockingIOError:
            return False
        self._in_pipe = count
        self.source_ended = not count
        return True

    def _drain(self, pipe: Pipe) -> bool:
        """Move bytes from the pipe into the sink. Return False if the sink takes no more and some are left."""
        while self._in_pipe:
            try:
                count = os.splice(pipe.read_end, self._sink, self._in_pipe, flags=_SPLICE_FLAGS)
            except BlockingIOError:
                return False
            self._in_pipe -= count
            self.delivered += count
        return True

    def _rest(self, pipe: Pipe, *, ready: bool) -> None:
        """Give the empty pipe back and wait for the source; the next turn comes in any case if it may be ready."""
        self._pair.pool.give_back(pipe)
        self._pipe = None
        self._wait_for_source()
        if ready:
            self._next_turn = self._pair.loop.call_soon(self._turn)

    def _finish(self, pipe: Pipe) -> None:
        """Tell the sink that no more comes."""
        self._pair.pool.give_back(pipe)
        self._pipe = None
        self._wait_for_nothing()
        self._sink_socket.shutdown(socket.SHUT_WR)
        self.ended = True

    def _wait_for_source(self) -> None:
        if self._writing:
            self._pair.loop.remove_writer(self._sink)
            self._writing = False
        if not self._reading:
            self._pair.loop.add_reader(self._source, self._turn)
            self._reading = True

    def _wait_for_sink(self) -> None:
        if self._reading:
            self._pair.loop.remove_reader(self._source)
            self._reading = False
        if not self._writing:
            self._pair.loop.add_writer(self._sink, self._turn)
            self._writing = True

    def _wait_for_nothing(self) -> None:
        if self._reading:
            self._pair.loop.remove_reader(self._source)
            self._reading = False
        if self._writing:
            self._pair.loop.remove_writer(self._sink)
            self._writing = False
        self._cancel_next_turn()

    def _cancel_next_turn(self) -> None:
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None


class SplicedPair:
    """The two connections of a dial, spliced until both have ended, one has broken, or the session is cut."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        pool: PipePool,
        engineer: socket.socket,
        endpoint: socket.socket,
        on_end: Callable[["SplicedPair", PairEnding], None],
    ) -> None:
        self.loop = loop
        self.pool = pool
        self._engineer = engineer
        self._endpoint = endpoint
        self._on_end = on_end
        self._ended = False
        self._from_engineer = _Direction(self, engineer, endpoint)
        self._from_endpoint = _Direction(self, endpoint, engineer)

    @property
    def bytes_from_engineer(self) -> int:
        """Bytes that the endpoint's connection has taken."""
        return self._from_engineer.delivered

    @property
    def bytes_from_endpoint(self) -> int:
        """Bytes that the engineer's connection has taken."""
        return self._from_endpoint.delivered

    def start(self) -> None:
        """Begin to splice."""
        self._from_engineer.start()
        self._from_endpoint.start()

    def cut(self) -> None:
        """End at once: from here on neither side gets a byte more, not even those that the kernel holds for it."""
        self.end(PairEnding.CUT)

    def direction_ended(self) -> None:
        """End if both directions have."""
        if self._from_engineer.ended and self._from_endpoint.ended:
            self.end(PairEnding.FINISHED)

    def end_if_broken(self) -> None:
        """End if a connection that the event loop does not watch, since its peer sends no more, has broken."""
        if self._ended:
            return
        unwatched = [
            source.fileno()
            for direction, source in ((self._from_engineer, self._engineer), (self._from_endpoint, self._endpoint))
            if direction.source_ended
        ]
        if any(_is_broken(descriptor) for descriptor in unwatched):
            self.end(PairEnding.BROKEN)

    def end(self, ending: PairEnding) -> None:
        """Close both connections and give back everything that the pair holds. Further calls change nothing."""
        if self._ended:
            return
        self._ended = True
        self._from_engineer.stop()
        self._from_endpoint.stop()
        close = sockets.reset if ending is PairEnding.CUT else sockets.close_with
        close(self._engineer)
        close(self._endpoint)
        self._on_end(self, ending)


def _is_broken(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
