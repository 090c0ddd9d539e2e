"""A way through an HTTP proxy for a raw TCP connection: the CONNECT method (RFC 9110, section 9.3.6)."""

import asyncio
import socket
from typing import Final

from latchstring.endpoint.proxies import Proxy

_MAX_ANSWER_BYTES: Final = 8192
_END: Final = b"\r\n\r\n"


class ProxyRefusedError(OSError):
    """The proxy does not let the connection through."""


async def open_tunnel(connection: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """Ask the proxy at the other end of ``connection`` for a tunnel to ``host:port``.

    Raises:
        ProxyRefusedError: it refused, or it does not speak HTTP.
        OSError: the connection failed.
    """
    loop = asyncio.get_running_loop()
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    await loop.sock_sendall(connection, "\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while not answer.endswith(_END):
        # One byte at a time: what follows the answer belongs to the tunnel, not to us.
        byte = await loop.sock_recv(connection, 1)
        if not byte or len(answer) >= _MAX_ANSWER_BYTES:
            raise ProxyRefusedError("the proxy's answer is not HTTP")
        answer += byte
    version, _, rest = answer.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest.startswith(b"2"):
        status = rest[:3].decode("ascii", "replace")
        raise ProxyRefusedError(f"the proxy refuses the connection to {target} (HTTP status {status})")
