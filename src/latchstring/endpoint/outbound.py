"""TCP connections out of the customer's network: straight, or through an HTTP proxy if one is set."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable

from latchstring.endpoint.errors import one_line
from latchstring.endpoint.proxies import Proxy
from latchstring.endpoint.proxy_connect import open_tunnel


async def connect_outbound(host: str, port: int, find_proxy: Callable[[str], Proxy | None]) -> socket.socket:
    """Return a connection to ``host:port``, non-blocking.

    Args:
        host: a name or an address.
        port: its port.
        find_proxy: returns the HTTP proxy on the way to a host, if there is one.

    Raises:
        OSError: there is no way.
        ValueError: what is set as proxy is none.
    """
    proxy = find_proxy(host)
    if proxy is None:
        return await connect_tcp(host, port)
    connection = await connect_tcp(proxy.host, proxy.port)
    try:
        await open_tunnel(connection, proxy, host, port)
    except BaseException:
        connection.close()
        raise
    return connection


def connection_fault(error: Exception, host: str, port: int) -> str:
    """Return in one line why there is no connection, without what a library says about itself."""
    if isinstance(error, TimeoutError) or not isinstance(error, OSError):
        return one_line(str(error)) or "no answer in time"
    known = error.errno is not None and error.errno > 0
    reason = os.strerror(error.errno or 0) if known else one_line(error.strerror or str(error))
    return f"{host}:{port} cannot be reached: {reason}"


async def connect_tcp(host: str, port: int) -> socket.socket:
    """Return a connection to the first of the host's addresses that answers.

    Raises:
        OSError: none does.
    """
    loop = asyncio.get_running_loop()
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, number, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind | socket.SOCK_CLOEXEC, number)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            with contextlib.suppress(OSError):
                connection.close()
            raise
        else:
            return connection
    raise failure
