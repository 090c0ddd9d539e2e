"""The relay's stream inside a WebSocket, over a TLS connection to the controller.

Works on a connection that waits (with a time-out) as on one that does not block. What is held is bounded: the frame
under way, at most one pong, and what the caller queued, who queues the next message when the stream ``is_idle``.
"""

import errno
import socket
import ssl
from collections.abc import Callable

from latchstring.client.websocket_frames import (
    BINARY,
    MASK_BYTES,
    PONG,
    FrameReader,
    Received,
    encode_close,
    encode_frame,
)

READ_BYTES = 256 * 1024

_NOT_NOW = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)


class StreamBrokenError(OSError):
    """The connection has ended without a closing frame."""


class WebSocketStream:
    """The client's end of an open WebSocket.

    Args:
        connection: the TLS connection.
        early: what came after the head of the answer to the upgrade.
        limit: bytes that a message of the controller may have.
        random: returns as many random bytes as it is asked for.
    """

    def __init__(self, connection: ssl.SSLSocket, early: bytes, *, limit: int, random: Callable[[int], bytes]) -> None:
        self.connection = connection
        self._early = early
        self._random = random
        self._reader = FrameReader(limit)
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._sending = memoryview(b"")
        """What the frame under way still lacks."""
        self._pong: bytes | None = None
        self._queue: list[bytes] = []

    @property
    def is_idle(self) -> bool:
        """Whether all that was queued has been sent."""
        return not self._sending and self._pong is None and not self._queue

    @property
    def has_input(self) -> bool:
        """Whether something can be received that the kernel does not know of any more."""
        return bool(self._early) or self.connection.pending() > 0

    def send(self, data: bytes | memoryview) -> None:
        """Queue bytes of the stream; none are its end."""
        self._queue.append(encode_frame(BINARY, data, self._random(MASK_BYTES)))

    def send_end(self) -> None:
        """Queue the end of the stream in our direction."""
        self.send(b"")

    def send_close(self, code: int) -> None:
        """Queue the closing frame."""
        self._queue.append(encode_close(code, self._random(MASK_BYTES)))

    def send_pong(self, payload: bytes = b"") -> None:
        """Queue a pong, asked for or not, before everything but the frame under way; it replaces one that waits."""
        self._pong = encode_frame(PONG, payload, self._random(MASK_BYTES))

    def flush(self) -> bool:
        """Send as much as can be sent, and tell whether that was all.

        Raises:
            OSError: the connection has broken, or its time-out is over.
        """
        while self._sending or self._take_next():
            try:
                self._send_once()
            except _NOT_NOW:
                return False
        return True

    def receive(self) -> Received:
        """Return what has come; its pieces are good until the next call. A ping's answer is queued.

        Raises:
            WebSocketFaultError: the controller broke the protocol.
            StreamBrokenError: the connection has ended.
            OSError: it has broken, or its time-out is over.
        """
        if self._early:
            data, self._early = memoryview(self._early), b""
        else:
            data = self._buffer[: self._fill()]
        received = self._reader.receive(data)
        if received.ping is not None:
            self.send_pong(received.ping)
        return received

    def leave(self, seconds_left: Callable[[], float]) -> None:
        """Say all that is queued, and wait for the controller to close, while ``seconds_left`` are left.

        Closing while it still sends would reset the connection, and what we said last could be lost.
        """
        try:
            while (self._sending or self._take_next()) and (left := seconds_left()) > 0:
                self.connection.settimeout(left)
                self._send_once()
            self.connection.shutdown(socket.SHUT_WR)  # what comes from here on is counted as bytes, not read as TLS
            while (left := seconds_left()) > 0:
                self.connection.settimeout(left)
                if not self.connection.recv_into(self._buffer):
                    return
        except OSError:
            return

    def _fill(self) -> int:
        """Read into the buffer what has come: one record if that is waited for, else all that is there."""
        filled = 0
        while filled < READ_BYTES:
            try:
                count = self.connection.recv_into(self._buffer[filled:])
            except _NOT_NOW:
                break
            if not count:
                if filled:
                    break
                raise StreamBrokenError(errno.ECONNRESET, "the controller closed the connection")
            filled += count
            if self.connection.gettimeout() != 0:
                break
        return filled

    def _send_once(self) -> None:
        self._sending = self._sending[self.connection.send(self._sending) :]

    def _take_next(self) -> bool:
        if self._pong is not None:
            self._sending, self._pong = memoryview(self._pong), None
        elif self._queue:
            self._sending = memoryview(self._queue.pop(0))
        return bool(self._sending)
