"""WebSockets to the controller's port for endpoints: mutually authenticated TLS 1.3, through a proxy if one is set."""

import logging
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from latchstring.certs.tls_contexts import client_context
from latchstring.endpoint.identity import Identity
from latchstring.endpoint.outbound import connect_outbound, connection_fault
from latchstring.endpoint.proxies import Proxy

_log = logging.getLogger(__name__)
_log.setLevel(logging.INFO)  # what is below has what was said in it


class NoWayError(Exception):
    """There is no connection to the controller. One line says why."""


class _Connection(ClientConnection):
    """Ends after a peer that broke the protocol, or wants to close: by itself the library waits for the peer to go."""

    _is_leaving = False

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        super().data_received(data)
        if self.protocol.close_expected() and not self._is_leaving:
            self._is_leaving = True
            self.loop.call_later(self.close_timeout or 0.0, self.transport.abort)


class _Dial(connect):
    """Goes where it was told to, and nowhere else."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Follow nobody."""
        return exc


async def connect_websocket(
    identity: Identity, path: str, *, find_proxy: Callable[[str], Proxy | None], **options: Any
) -> ClientConnection:
    """Return an open WebSocket.

    Args:
        identity: who we are, and where the controller is.
        path: what is asked for there.
        find_proxy: returns the HTTP proxy on the way, if there is one.
        options: of the library, for this WebSocket.

    Raises:
        NoWayError: the controller cannot be reached.
        ssl.SSLError: it is not who it should be, or does not take us for who we are.
        WebSocketException: what answers does not speak as a controller does.
        OSError: the connection broke.
        KeyFileError: our own certificate or key cannot be used.
        ValueError: what is set as proxy is none.
    """
    host, port = identity.enrolment.tunnel_host, identity.enrolment.tunnel_port
    context = client_context(identity.root, credentials=identity.tunnel)
    try:
        connection = await connect_outbound(host, port, find_proxy)
    except OSError as error:
        raise NoWayError(connection_fault(error, host, port)) from error
    try:
        return await _Dial(
            f"wss://{f'[{host}]' if ':' in host else host}:{port}{path}",
            sock=connection,
            ssl=context,
            compression=None,
            user_agent_header=None,
            open_timeout=None,
            logger=_log,
            create_connection=_Connection,
            **options,
        )
    except BaseException:
        connection.close()
        raise
