"""The way to the relay: raw TCP if it can be had, else inside a WebSocket to the controller's HTTPS port.

``LATCH_RELAY`` forces a way. What the relay answers is final: only a relay that cannot be connected to is gone around.
Loaded by ``latch connect`` while the controller answers.
"""

import socket
from collections.abc import Callable, Mapping

from latchstring.client.dial_answer import Dial
from latchstring.client.errors import UnreachableError
from latchstring.client.layout import WAY_AUTO, WAY_DIRECT, WAY_VARIABLE, WAY_WEBSOCKET
from latchstring.client.tcp import authority, open_connection
from latchstring.protocol import dial as wire

CONNECT_SECONDS = 3.0
"""Much less than the life of a ticket, so that it is still good for the other way."""
PAIRING_SECONDS = 20.0


def connect_relay(
    dial: Dial,
    name: str,
    *,
    way: str,
    environment: Mapping[str, str],
    clock: Callable[[], float],
    by_websocket: Callable[[str], socket.socket],
) -> socket.socket:
    """Return a socket whose other end is the SSH server of the endpoint ``name``.

    Args:
        dial: the relay's address, and our ticket.
        name: for messages.
        way: one of ``layout.WAYS``.
        environment: says whether a proxy leads to the relay.
        clock: monotonic seconds.
        by_websocket: connects the other way; takes the reason for that.

    Raises:
        ClientError: the relay cannot be reached, or the endpoint did not come to it.
    """
    if way == WAY_WEBSOCKET:
        return by_websocket(f"{WAY_VARIABLE}={WAY_WEBSOCKET}")
    where = f"the relay at {authority(dial.relay_host, dial.relay_port)}"
    try:
        stream = open_connection(
            dial.relay_host, dial.relay_port, environment=environment, seconds=CONNECT_SECONDS, clock=clock
        )
    except OSError as error:
        reason = error.strerror or "no answer"
        if way == WAY_DIRECT:
            raise UnreachableError(f"{where} cannot be reached: {reason}; does a firewall block that port?") from error
        return by_websocket(f"{where} cannot be reached ({reason})")
    try:
        _pair(stream, dial, name)
        stream.setblocking(True)
    except OSError as error:
        stream.close()
        hint = f"; if something on the way cuts it, try {WAY_VARIABLE}={WAY_WEBSOCKET}" if way == WAY_AUTO else ""
        raise UnreachableError(f"{where} does not answer: {error.strerror or 'time is up'}{hint}") from error
    except BaseException:
        stream.close()
        raise
    return stream


def preamble(dial: Dial) -> bytes:
    """Return what proves our ticket to the relay."""
    return wire.encode_preamble(
        role=wire.Role.ENGINEER, dial_id=dial.dial_id, session_id=dial.session_id, secret=dial.secret
    )


def check_status(received: bytes, name: str) -> None:
    """Check the relay's answer, its first byte.

    Raises:
        UnreachableError: it is not that the endpoint ``name`` is there too.
    """
    try:
        status = wire.parse_status(received)
    except wire.PreambleError as error:
        raise UnreachableError(f"no connection to {name}: {error}") from error
    if status is not wire.Status.PAIRED:
        raise UnreachableError(f"no connection to {name}: {wire.STATUS_MEANING[status]}")


def _pair(stream: socket.socket, dial: Dial, name: str) -> None:
    """Prove the ticket and wait until the endpoint is there too."""
    stream.sendall(preamble(dial))
    stream.settimeout(PAIRING_SECONDS)
    check_status(stream.recv(wire.STATUS_BYTES), name)
