"""What waits to be sent on one channel: a bounded queue in front of the WebSocket.

Services put messages in without waiting. An endpoint that reads so slowly that the queue fills is given up: it comes
back and says what it knows, which is better than a controller that holds everybody's messages for it.
"""

import asyncio
from typing import Final

from aiohttp import web

from latchstring.protocol.messages import FromController, Goodbye, encode_message

MAX_WAITING: Final = 1024
_FAREWELL_SECONDS: Final = 2.0


class Outbox:
    """The outgoing side of one channel."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._frames: asyncio.Queue[str | None] = asyncio.Queue()
        self._open = True
        self._overflowed = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether messages are still taken."""
        return self._open

    def put(self, message: FromController) -> bool:
        """Queue ``message``; False if the channel is closing, or is given up because its queue is full."""
        if not self._open:
            return False
        if self._frames.qsize() >= MAX_WAITING:
            self._open = False
            self._overflowed.set()
            return False
        self._frames.put_nowait(encode_message(message))
        return True

    def finish(self, goodbye: Goodbye) -> None:
        """Say goodbye behind what is queued, and take no more."""
        if self._open:
            self._open = False
            self._frames.put_nowait(encode_message(goodbye))
            self._frames.put_nowait(None)

    async def run(self) -> None:
        """Send until the goodbye is out, the queue overflows, or the connection breaks."""
        sender = asyncio.create_task(self._send(), name="outbox")
        overflow = asyncio.create_task(self._overflowed.wait(), name="outbox overflow")
        try:
            await asyncio.wait((sender, overflow), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open = False
            sender.cancel()
            overflow.cancel()
            await asyncio.gather(sender, overflow, return_exceptions=True)

    async def flush(self) -> None:
        """Send what is still queued, for at most two seconds: the goodbye of a channel that ends."""
        if self._overflowed.is_set():
            return
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                while not self._frames.empty():
                    frame = self._frames.get_nowait()
                    if frame is not None:
                        await self._socket.send_str(frame)
        except (TimeoutError, ConnectionError):
            return

    async def _send(self) -> None:
        try:
            while (frame := await self._frames.get()) is not None:
                await self._socket.send_str(frame)
        except ConnectionError:
            return
