"""WebSockets to the controller's port for endpoints: mutually authenticated TLS 1.3, through a proxy if one is set."""

from collections.abc import Callable
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

from latchstring.certs.tls_contexts import client_context
from latchstring.endpoint.identity import Identity
from latchstring.endpoint.proxies import Proxy


async def connect_websocket(
    session: ClientSession,
    identity: Identity,
    path: str,
    *,
    find_proxy: Callable[[str], Proxy | None],
    **options: Any,
) -> ClientWebSocketResponse:
    """Return an open WebSocket.

    Args:
        session: whose connection it is to be.
        identity: who we are, and where the controller is.
        path: what is asked for there.
        find_proxy: returns the HTTP proxy on the way, if there is one.
        options: aiohttp's, for this WebSocket.

    Raises:
        aiohttp.ClientError: it cannot be had; a certificate that is not trusted among the reasons.
        OSError: it cannot be had.
        KeyFileError: our own certificate or key cannot be used.
        ValueError: what is set as proxy is none.
    """
    host, port = identity.enrolment.tunnel_host, identity.enrolment.tunnel_port
    proxy = find_proxy(host)
    websocket: ClientWebSocketResponse = await session.ws_connect(
        f"https://{f'[{host}]' if ':' in host else host}:{port}{path}",
        ssl=client_context(identity.root, credentials=identity.tunnel),
        proxy=None if proxy is None else proxy.url,
        **options,
    )
    return websocket
