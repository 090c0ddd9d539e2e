"""The ways to the relay: straight, and through a WebSocket where that one is closed.

The straight way is TCP to the relay's address, through an HTTP proxy (CONNECT) if one is set. Where it is closed, the
controller's port for endpoints is open, or nobody would have asked for a dial: the same stream goes through there. That
is slower, so it is said, and the straight way is tried again now and then.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from latchstring.endpoint.errors import one_line
from latchstring.endpoint.outbound import connect_outbound
from latchstring.endpoint.proxies import Proxy
from latchstring.endpoint.relay_address import RelayAddress
from latchstring.endpoint.relay_way import RelayWay

DIRECT_SECONDS: Final = 3.0
WEBSOCKET_SECONDS: Final = 7.0
"""Both together leave the engineer's client, who waits for us at the relay, some of its patience."""
AGAIN_SECONDS: Final = 600.0
"""How long the straight way is left alone after it was closed."""

_log = logging.getLogger(__name__)


class RelayWays:
    """Connects to the relay.

    Args:
        relay: its address.
        find_proxy: returns the HTTP proxy on the way to a host, if there is one.
        open_websocket: connects through the controller's port for endpoints.
        monotonic: seconds.

    Attributes:
        last: how the relay was reached last; None before the first time.
    """

    def __init__(
        self,
        relay: RelayAddress,
        *,
        find_proxy: Callable[[str], Proxy | None],
        open_websocket: Callable[[], Awaitable[socket.socket]],
        monotonic: Callable[[], float],
    ) -> None:
        self.last: RelayWay | None = None
        self._relay = relay
        self._find_proxy = find_proxy
        self._open_websocket = open_websocket
        self._monotonic = monotonic
        self._closed_at: float | None = None

    async def connect(self) -> socket.socket:
        """Return a socket to the relay.

        Raises:
            OSError: no way leads there.
            TimeoutError: none did in time.
        """
        if self._closed_at is None or self._monotonic() - self._closed_at >= AGAIN_SECONDS:
            try:
                async with asyncio.timeout(DIRECT_SECONDS):
                    connection = await connect_outbound(self._relay.host, self._relay.port, self._find_proxy)
            except (OSError, ValueError) as error:  # a time-out is an OSError
                self._closed_at = self._monotonic()
                reason = one_line(str(error)) or f"no answer in {DIRECT_SECONDS:.0f} s"
            else:
                self._closed_at = None
                self._reached(RelayWay.DIRECT)
                return connection
        else:
            reason = "it could not lately"
        return await self._connect_by_websocket(reason)

    async def _connect_by_websocket(self, reason: str) -> socket.socket:
        async with asyncio.timeout(WEBSOCKET_SECONDS):
            connection = await self._open_websocket()
        self._reached(RelayWay.WEBSOCKET, reason)
        return connection

    def _reached(self, way: RelayWay, reason: str = "") -> None:
        if way is not self.last:
            if way is RelayWay.WEBSOCKET:
                _log.warning(
                    "the relay at %s:%d cannot be reached (%s): going through the controller's port for endpoints, "
                    "which is slower",
                    self._relay.host,
                    self._relay.port,
                    reason,
                )
            elif self.last is not None:
                _log.info("the relay can be reached directly again")
        self.last = way
