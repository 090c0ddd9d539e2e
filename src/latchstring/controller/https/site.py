"""An aiohttp application on a TLS listener of its own."""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Final

from aiohttp import web

from latchstring.controller.https.connection import HttpConnection
from latchstring.controller.https.listener import ListenerLimits, TlsListener

_SHUTDOWN_SECONDS: Final = 1.0


class TlsSite:
    """Serves ``application`` on ``listener``, a bound socket."""

    def __init__(
        self, application: web.Application, listener: socket.socket, context: ssl.SSLContext, limits: ListenerLimits
    ) -> None:
        self._runner = web.AppRunner(application, shutdown_timeout=_SHUTDOWN_SECONDS, access_log=None)
        self._tls = TlsListener(listener, context, self._make_connection, limits)

    @property
    def counters(self) -> Counter[str]:
        """The listener's counters."""
        return self._tls.counters

    async def start(self) -> None:
        """Begin to serve."""
        await self._runner.setup()
        self._tls.start()

    async def stop_accepting(self) -> None:
        """Take no new connections."""
        await self._tls.close()

    async def close(self) -> None:
        """Stop: no new connections, requests in progress get a second, then everything is closed."""
        await self._tls.close()
        await self._runner.cleanup()
        await self._tls.end_connections()

    def _make_connection(self, on_gone: Callable[[], None]) -> asyncio.Protocol:
        server = self._runner.server
        if server is None:
            raise RuntimeError("a connection came before the application was set up")
        return HttpConnection(server, on_gone)
