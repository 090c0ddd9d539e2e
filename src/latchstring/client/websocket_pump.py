"""Carries bytes between ``ssh`` and a WebSocket to the controller, until one of the two has gone.

Both ways are bounded: nothing is read from ``ssh`` before what it said last has been sent, and nothing from the
controller before ``ssh`` has taken what came last. Each direction ends by itself, since SSH keeps half-closes.

A connection that the controller cuts is cut here: what is held is not delivered any more. While ``ssh`` takes nothing,
the controller's pings wait behind what it does not take; a pong that nobody asked for says that we are still here.
"""

import contextlib
import select
import socket
from collections.abc import Callable

from latchstring.client.websocket_frames import NORMAL, Received, WebSocketFaultError
from latchstring.client.websocket_stream import WebSocketStream

CHUNK_BYTES = 64 * 1024
SILENCE_SECONDS = 120.0
"""A controller that has said nothing for so long is gone: it sends a ping several times in that time."""
PONG_SECONDS = 5.0
LEAVE_SECONDS = 5.0
"""How long we try to say our last words after ``ssh`` has gone."""

_MILLISECONDS = 1000
_BROKEN = select.POLLHUP | select.POLLERR | select.POLLNVAL


class StreamPump:
    """One connection of ``ssh``.

    Args:
        stream: to the controller; does not block.
        ssh: to ``ssh``, a stream socket of the Unix domain; does not block.
        early: what has come already.
        clock: monotonic seconds.
    """

    def __init__(
        self, stream: WebSocketStream, ssh: socket.socket, early: Received, clock: Callable[[], float]
    ) -> None:
        self._stream = stream
        self._ssh = ssh
        self._clock = clock
        self._poll = select.poll()
        self._ssh_descriptor = ssh.fileno()
        self._controller_descriptor = stream.connection.fileno()
        self._pending: list[memoryview] = []
        """What ``ssh`` has not taken yet, in order."""
        self._heard = clock()
        self._ssh_gone = False
        self._up_ended = False
        self._down_ended = False
        self._closed = False
        """Whether the controller's closing frame has come: what is still pending came before it."""
        self._give_up_at: float | None = None
        self._take(early)

    def run(self) -> None:
        """Carry bytes until it is over, and leave the connection in order."""
        code = NORMAL
        try:
            self._carry()
        except WebSocketFaultError as error:
            code = error.code
        except OSError:
            return  # the connection has broken: there is nobody to say anything to
        finally:
            self._ssh.close()
        deadline = self._clock() + LEAVE_SECONDS
        self._stream.send_close(code)
        self._stream.leave(lambda: deadline - self._clock())

    def _carry(self) -> None:
        while not self._is_over():
            from_ssh, from_controller = self._wait()
            if from_controller & _BROKEN:
                raise ConnectionResetError
            if from_ssh & _BROKEN:
                self._lose_ssh()
            if self._may_receive and (self._stream.has_input or from_controller & select.POLLIN):
                self._receive()
            self._deliver()
            if self._may_collect and (self._ssh_gone or from_ssh & select.POLLIN):
                self._collect()
            if not self._closed:
                self._stream.flush()

    @property
    def _may_receive(self) -> bool:
        return not self._pending and not self._closed

    @property
    def _may_collect(self) -> bool:
        return not self._up_ended and not self._closed and self._stream.is_idle

    def _is_over(self) -> bool:
        delivered = self._ssh_gone or (self._down_ended and not self._pending)
        if self._closed:
            return delivered or not self._down_ended  # closed before its end, the stream was cut
        return delivered and self._up_ended and self._stream.is_idle

    def _wait(self) -> tuple[int, int]:
        """Wait until something can go on; return what is ready of ``ssh`` and of the controller.

        Raises:
            TimeoutError: the controller is gone, or our last words take too long.
        """
        if not self._ssh_gone:
            wanted = select.POLLIN * self._may_collect | select.POLLOUT * bool(self._pending)
            self._poll.register(self._ssh_descriptor, wanted)
        if not self._closed:
            wanted = select.POLLIN * self._may_receive | select.POLLOUT * (not self._stream.is_idle)
            self._poll.register(self._controller_descriptor, wanted)
        ready = dict(self._poll.poll(self._patience() * _MILLISECONDS))
        if not ready and self._pending and not self._closed:
            self._stream.send_pong()
        return ready.get(self._ssh_descriptor, 0), ready.get(self._controller_descriptor, 0)

    def _patience(self) -> float:
        """Return the seconds that may pass before something else is due."""
        if (self._may_receive and self._stream.has_input) or (self._may_collect and self._ssh_gone):
            return 0.0
        now = self._clock()
        due = now + PONG_SECONDS if self._pending else self._heard + SILENCE_SECONDS
        if self._give_up_at is not None:
            due = min(due, self._give_up_at)
        if due <= now:
            raise TimeoutError
        return due - now

    def _receive(self) -> None:
        self._take(self._stream.receive())
        self._heard = self._clock()

    def _take(self, received: Received) -> None:
        self._pending = [] if self._ssh_gone else received.pieces
        self._down_ended |= received.ended
        if received.close is not None:
            self._closed = True
            with contextlib.suppress(KeyError):
                self._poll.unregister(self._controller_descriptor)

    def _deliver(self) -> None:
        """Give ``ssh`` what it takes, and the end of the stream after that."""
        while self._pending:
            try:
                sent = self._ssh.send(self._pending[0])
            except BlockingIOError:
                return
            except OSError:
                self._lose_ssh()
                return
            self._heard = self._clock()  # the controller may have waited for us
            if sent == len(self._pending[0]):
                self._pending.pop(0)
            else:
                self._pending[0] = self._pending[0][sent:]
        if self._down_ended and not self._ssh_gone:
            with contextlib.suppress(OSError):
                self._ssh.shutdown(socket.SHUT_WR)

    def _collect(self) -> None:
        """Take from ``ssh`` what it says, or its end."""
        try:
            data = self._ssh.recv(CHUNK_BYTES)
        except OSError as error:
            if isinstance(error, BlockingIOError) and not self._ssh_gone:
                return
            data = b""
        if data:
            self._stream.send(data)
        else:
            self._stream.send_end()
            self._up_ended = True

    def _lose_ssh(self) -> None:
        """``ssh`` takes nothing any more; what it said before is still in its socket."""
        if not self._ssh_gone:
            self._ssh_gone = True
            self._pending = []
            self._poll.unregister(self._ssh_descriptor)
            self._give_up_at = self._clock() + LEAVE_SECONDS
