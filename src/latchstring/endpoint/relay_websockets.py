"""The relay's stream through WebSockets to the controller (``protocol/relay_websocket.py``), the endpoint's side."""

import socket
import struct
from collections.abc import Callable
from typing import Any, Final

import aiohttp
from aiohttp import ClientResponse, ClientSession, ClientWebSocketResponse

from latchstring.certs.keyfiles import KeyFileError
from latchstring.endpoint.connection_faults import connection_fault
from latchstring.endpoint.controller_websocket import connect_websocket
from latchstring.endpoint.identity import Identity
from latchstring.endpoint.proxies import Proxy
from latchstring.endpoint.tasks import Tasks
from latchstring.protocol.relay_websocket import RELAY_PATH
from latchstring.streams.websocket_carrier import AIOHTTP_LIMIT, WebSocketCarrier

_CLOSE_SECONDS: Final = 2.0
_LEAVE_SECONDS: Final = 5.0
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class _AbortableWebSocket(ClientWebSocketResponse):
    """A WebSocket whose connection can be thrown away with all that it holds."""

    def __init__(
        self, reader: Any, writer: Any, protocol: Any, response: ClientResponse, *rest: Any, **more: Any
    ) -> None:
        super().__init__(reader, writer, protocol, response, *rest, **more)
        self._transport = None if response.connection is None else response.connection.transport

    def abort(self) -> None:
        """End the connection with a reset."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()


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
        session = ClientSession(ws_response_class=_AbortableWebSocket)
        try:
            websocket = await connect_websocket(
                session,
                self._identity,
                RELAY_PATH,
                find_proxy=self._find_proxy,
                autoping=False,
                max_msg_size=AIOHTTP_LIMIT,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
            )
        except (aiohttp.ClientError, KeyFileError, ValueError) as error:
            await session.close()
            raise OSError(f"no way through the controller's port for endpoints: {connection_fault(error)}") from error
        except BaseException:
            await session.close()
            raise
        assert isinstance(websocket, _AbortableWebSocket)  # noqa: S101 - the session makes no other
        carrier = WebSocketCarrier(
            websocket, abort=websocket.abort, monotonic=self._monotonic, leave_seconds=_LEAVE_SECONDS
        )
        self._tasks.start(self._carry(session, carrier), name="relay WebSocket")
        return carrier.held

    async def close(self) -> None:
        """End them all."""
        await self._tasks.cancel()

    @staticmethod
    async def _carry(session: ClientSession, carrier: WebSocketCarrier) -> None:
        async with session:
            await carrier.run()
