"""Carries one stream between a socket and a WebSocket, as ``protocol/relay_websocket.py`` says.

Both ways are bounded: nothing is read from the one side before the other has taken what came last. The WebSocket's own
pings go out all the time, so that proxies on the way see life; a peer that has sent nothing for long is gone.
"""

import asyncio
import contextlib
import select
import socket
from collections.abc import Callable
from typing import Final, Protocol

from latchstring.protocol.relay_websocket import MAX_STREAM_MESSAGE_BYTES
from latchstring.streams.carried_socket import CarriedSocket, carried_pair

PING_SECONDS: Final = 20.0
SILENCE_SECONDS: Final = 120.0
CLOSE_IN_ORDER: Final = 1000
CLOSE_UNSUPPORTED: Final = 1003
"""Status codes of RFC 6455, section 7.4.1."""
_CHUNK_BYTES: Final = MAX_STREAM_MESSAGE_BYTES


class StreamWebSocket(Protocol):
    """What is needed of a library's WebSocket. It answers pings, and closes by itself when a message is too long."""

    async def receive(self) -> bytes | str | None:
        """Return the next message, binary or text; None at the end, and after it."""

    async def send(self, data: bytes, /) -> None:
        """Send a binary message, and wait while much is under way.

        Raises:
            OSError: the connection is gone.
        """

    async def ping(self, heard: Callable[[], None], /) -> None:
        """Send a ping, and have ``heard`` called when the peer answers.

        Raises:
            OSError: the connection is gone.
        """

    async def close(self, code: int, /) -> None:
        """Close in order. Raises nothing."""


class WebSocketCarrier:
    """One stream.

    Args:
        websocket: open.
        abort: ends the WebSocket's connection at once, throwing away what is buffered.
        monotonic: seconds.
        leave_seconds: how long the peer may go on after the holder has closed for good; what it says is thrown away.

    Attributes:
        held: the end of the stream that others use like a TCP connection; theirs to close.
    """

    held: CarriedSocket

    def __init__(
        self,
        websocket: StreamWebSocket,
        *,
        abort: Callable[[], None],
        monotonic: Callable[[], float],
        leave_seconds: float,
    ) -> None:
        self._websocket = websocket
        self._abort = abort
        self._monotonic = monotonic
        self._leave_seconds = leave_seconds
        self._holder_closed = asyncio.Event()
        self._peer_ended = asyncio.Event()
        self._was_reset = False
        self._blocked = False
        self._heard = monotonic()
        self._code = CLOSE_IN_ORDER
        self.held, self._ours = carried_pair(on_reset=self._reset, on_close=self._holder_closed.set)

    async def run(self) -> None:
        """Carry until both sides have ended, or one is gone. What the peer does wrong raises nothing."""
        work = (self._to_websocket(), self._from_websocket(), self._keep_alive())
        tasks = [asyncio.create_task(each, name="relay WebSocket") for each in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                with contextlib.suppress(OSError, TimeoutError):  # the connection broke, or the peer takes its time
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._ours.close()
        if not self._was_reset:
            await self._websocket.close(self._code)

    def _reset(self) -> None:
        self._was_reset = True
        self._abort()

    async def _to_websocket(self) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self._ours, _CHUNK_BYTES):
            await self._websocket.send(data)
        await self._websocket.send(b"")
        if not _is_closed(self._ours):
            await self._holder_closed.wait()
        async with asyncio.timeout(self._leave_seconds):
            await self._peer_ended.wait()

    async def _from_websocket(self) -> None:
        while (message := await self._websocket.receive()) is not None:
            self._note_life()
            if isinstance(message, str) or self._peer_ended.is_set():
                self._code = CLOSE_UNSUPPORTED
                return
            await self._take(message)

    def _note_life(self) -> None:
        self._heard = self._monotonic()

    async def _take(self, data: bytes) -> None:
        """Hand on what the peer said. A holder who is gone takes nothing more; what it said still goes out."""
        with contextlib.suppress(OSError):
            if data:
                self._blocked = True
                await asyncio.get_running_loop().sock_sendall(self._ours, data)
            else:
                self._ours.shutdown(socket.SHUT_WR)
        self._blocked = False
        self._note_life()
        if not data:
            self._peer_ended.set()

    async def _keep_alive(self) -> None:
        while self._blocked or self._monotonic() - self._heard < SILENCE_SECONDS:
            await asyncio.sleep(PING_SECONDS)
            await self._websocket.ping(self._note_life)


def _is_closed(connection: socket.socket) -> bool:
    """Return whether the other end of the pair has closed for good, not only its writing half."""
    poll = select.poll()
    poll.register(connection, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
