"""What carries the relay's streams needs of a WebSocket, by aiohttp's (``streams/websocket_carrier.py``)."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from aiohttp import WSMsgType, web

from latchstring.protocol.relay_websocket import MAX_STREAM_MESSAGE_BYTES

AIOHTTP_LIMIT: Final = MAX_STREAM_MESSAGE_BYTES + 1
"""For aiohttp's ``max_msg_size``, which is the first size that it refuses."""


class AiohttpStream:
    """One WebSocket, made with ``autoping=False``: what the peer says is looked at only when there is room for it."""

    def __init__(self, websocket: web.WebSocketResponse) -> None:
        self._websocket = websocket
        self._heard: Callable[[], None] = _nobody_asked

    async def receive(self) -> bytes | str | None:
        """Return the next message; None at the end."""
        while True:
            message = await self._websocket.receive()
            match message.type:
                case WSMsgType.BINARY | WSMsgType.TEXT:
                    data: bytes | str = message.data
                    return data
                case WSMsgType.PING:
                    self._heard()
                    with contextlib.suppress(OSError):  # the next message says that it is gone
                        await self._websocket.pong(message.data)
                case WSMsgType.PONG:
                    self._heard()
                case _:  # it closed, or sent what aiohttp itself refuses
                    return None

    async def send(self, data: bytes) -> None:
        """Send a binary message."""
        await self._websocket.send_bytes(data)

    async def ping(self, heard: Callable[[], None]) -> None:
        """Send a ping; from now on ``heard`` is called for every sign of life that carries no data."""
        self._heard = heard
        await self._websocket.ping()

    async def close(self, code: int) -> None:
        """Close in order."""
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await self._websocket.close(code=code)


def _nobody_asked() -> None:
    return
