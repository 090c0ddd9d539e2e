"""The relay's stream through WebSockets to the controller (``protocol/relay_websocket.py``), the endpoint's side."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final

from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed, WebSocketException

from latchstring.certs.keyfiles import KeyFileError
from latchstring.endpoint.controller_websocket import NoWayError, connect_websocket
from latchstring.endpoint.errors import one_line
from latchstring.endpoint.identity import Identity
from latchstring.endpoint.proxies import Proxy
from latchstring.endpoint.tasks import Tasks
from latchstring.protocol.relay_websocket import MAX_STREAM_MESSAGE_BYTES, RELAY_PATH
from latchstring.streams.websocket_carrier import WebSocketCarrier

_CLOSE_SECONDS: Final = 2.0
_LEAVE_SECONDS: Final = 5.0
_UNREAD_MESSAGES: Final = 4
_WRITE_BYTES: Final = 64 * 1024
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class RelayWebSockets:
    """Opens WebSockets to the relay, and carries their streams until they end.

    Args:
        identity: who we are, and where the controller is.
        find_proxy: returns the HTTP proxy on the way, if there is one.
        monotonic: seconds.
    """

    def __init__(
        self, identity: Identity, *, find_proxy: Callable[[str], Proxy | None], monotonic: Callable[[], float]
    ) -> None:
        self._identity = identity
        self._find_proxy = find_proxy
        self._monotonic = monotonic
        self._tasks = Tasks()

    async def open(self) -> socket.socket:
        """Return a socket whose bytes go to the relay and come from there. It is to be closed like any other.

        Raises:
            OSError: the controller does not let us.
        """
        try:
            websocket = await connect_websocket(
                self._identity,
                RELAY_PATH,
                find_proxy=self._find_proxy,
                ping_interval=None,  # the carrier does that, since a stream that is held back is not dead
                close_timeout=_CLOSE_SECONDS,
                max_size=MAX_STREAM_MESSAGE_BYTES,
                max_queue=_UNREAD_MESSAGES,
                write_limit=_WRITE_BYTES,
            )
        except (WebSocketException, NoWayError, KeyFileError, ValueError) as error:
            raise OSError(f"no way through the controller's port for endpoints: {one_line(str(error))}") from error
        stream = WebSocketStream(websocket)
        carrier = WebSocketCarrier(stream, abort=stream.abort, monotonic=self._monotonic, leave_seconds=_LEAVE_SECONDS)
        self._tasks.start(carrier.run(), name="relay WebSocket")
        return carrier.held

    async def close(self) -> None:
        """End them all."""
        await self._tasks.cancel()


class WebSocketStream:
    """What a carrier needs of a WebSocket, by the library's."""

    def __init__(self, websocket: Connection) -> None:
        self._websocket = websocket

    async def receive(self) -> bytes | str | None:
        """Return the next message; None at the end."""
        try:
            return await self._websocket.recv()
        except ConnectionClosed:
            return None

    async def send(self, data: bytes) -> None:
        """Send a binary message.

        Raises:
            ConnectionResetError: the connection is gone.
        """
        try:
            await self._websocket.send(data)
        except ConnectionClosed as error:
            raise ConnectionResetError("the WebSocket is closed") from error

    async def ping(self, heard: Callable[[], None]) -> None:
        """Send a ping, and have ``heard`` called when the peer answers.

        Raises:
            ConnectionResetError: the connection is gone.
        """
        try:
            answered = await self._websocket.ping()
        except ConnectionClosed as error:
            raise ConnectionResetError("the WebSocket is closed") from error
        asyncio.ensure_future(answered).add_done_callback(lambda pong: _tell(pong, heard))

    async def close(self, code: int) -> None:
        """Close in order."""
        await self._websocket.close(code)

    def abort(self) -> None:
        """End the connection with a reset, with all that it holds."""
        transport = self._websocket.transport
        if not transport.is_closing():
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()


def _tell(pong: "asyncio.Future[float]", heard: Callable[[], None]) -> None:
    if not pong.cancelled() and pong.exception() is None:
        heard()
