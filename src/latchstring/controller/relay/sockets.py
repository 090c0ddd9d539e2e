"""How the relay's sockets are set up, and the two ways in which they end."""

import contextlib
import socket
from typing import Final

from latchstring.streams.carried_socket import CarriedSocket, reset_on_close

_KEEPALIVE_IDLE_SECONDS: Final = 30
_KEEPALIVE_INTERVAL_SECONDS: Final = 15
_KEEPALIVE_PROBES: Final = 6
_DEAD_AFTER_MILLISECONDS: Final = 120_000


def set_up(connection: socket.socket) -> None:
    """Make a connection non-blocking and prompt, and let the kernel end it when its peer has been gone for 2 minutes.

    ``TCP_USER_TIMEOUT`` covers a peer that goes while bytes are on their way to it, keepalive one that goes in silence.
    A connection that is carried is its carrier's to watch.
    """
    connection.setblocking(False)
    if isinstance(connection, CarriedSocket):
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_MILLISECONDS)


def listen(family: socket.AddressFamily, address: tuple[object, ...], backlog: int) -> socket.socket:
    """Return a non-blocking listening socket; ``::`` takes IPv4 too.

    Raises:
        OSError: the address cannot be had.
    """
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def close_with(connection: socket.socket, last_bytes: bytes = b"") -> None:
    """Close in order: what the kernel still holds for the peer, and these last bytes, are delivered if they can be."""
    with contextlib.suppress(OSError):
        if last_bytes:
            connection.send(last_bytes)
    connection.close()


def reset(connection: socket.socket) -> None:
    """Close at once: what the kernel still holds for the peer is dropped, and the peer gets a reset."""
    reset_on_close(connection)
    connection.close()
