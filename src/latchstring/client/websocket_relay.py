"""The relay's stream inside a WebSocket to the controller's HTTPS port, where the relay itself cannot be reached.

TLS cannot be handed over with a descriptor. So ``ssh`` gets one end of a socket pair, and a process that stays behind
carries bytes between the other end and the WebSocket until ``ssh`` or the controller has gone.
"""

import os
import socket
import ssl
from collections.abc import Callable

from latchstring.client.detach import occupy_standard_descriptors, serve_apart
from latchstring.client.dial_answer import Dial
from latchstring.client.errors import UnreachableError
from latchstring.client.relay_way import PAIRING_SECONDS, check_status, preamble
from latchstring.client.websocket_frames import (
    NONCE_BYTES,
    Received,
    UpgradeRefusedError,
    WebSocketFaultError,
    check_upgrade,
    upgrade_request,
)
from latchstring.client.websocket_pump import StreamPump
from latchstring.client.websocket_stream import WebSocketStream
from latchstring.protocol.dial import STATUS_BYTES
from latchstring.protocol.relay_websocket import MAX_STREAM_MESSAGE_BYTES, RELAY_PATH

UPGRADE_SECONDS = 10.0

_MAX_HEAD_BYTES = 16 * 1024
_RECEIVE_BYTES = 4096
_NOT_FOUND = 404
_END = b"\r\n\r\n"


def connect_by_websocket(
    dial: Dial,
    name: str,
    *,
    reason: str,
    open_https: Callable[[], ssl.SSLSocket],
    authority: str,
    clock: Callable[[], float],
    tell: Callable[[str], None],
) -> socket.socket:
    """Return a socket whose other end is the SSH server of the endpoint ``name``. A process is left that serves it.

    Args:
        dial: our ticket.
        name: for messages.
        reason: why the relay is not connected to.
        open_https: connects to the controller.
        authority: the controller's host and port.
        clock: monotonic seconds.
        tell: says something to the user beside the answer.

    Raises:
        ClientError: there is no way through the controller either, or the endpoint did not come to the relay.
    """
    occupy_standard_descriptors()
    try:
        stream = open_websocket(open_https(), authority, clock)
    except UnreachableError as error:
        raise UnreachableError(f"{reason}; nor is there a way through the controller's HTTPS port: {error}") from error
    tell(f"{reason}: going through the controller's HTTPS port, which is slower")
    try:
        early = _pair(stream, dial, name, clock)
        return _serve(stream, early, clock)
    except WebSocketFaultError as error:
        raise UnreachableError(f"no connection to {name}: the controller broke the protocol, {error}") from error
    except OSError as error:
        raise UnreachableError(f"no connection to {name}: {error.strerror or 'no answer of the relay'}") from error


def open_websocket(connection: ssl.SSLSocket, authority: str, clock: Callable[[], float]) -> WebSocketStream:
    """Return the WebSocket that the controller makes of a fresh connection.

    Raises:
        UnreachableError: it does not.
    """
    nonce = os.urandom(NONCE_BYTES)
    deadline = clock() + UPGRADE_SECONDS
    try:
        connection.sendall(upgrade_request(authority, RELAY_PATH, nonce))
        head, early = _read_head(connection, lambda: deadline - clock())
        check_upgrade(head, nonce)
    except UpgradeRefusedError as error:
        hint = ", is it a controller of this version?" if error.status == _NOT_FOUND else ""
        raise UnreachableError(f"{authority} answers with {error}{hint}") from error
    except WebSocketFaultError as error:
        raise UnreachableError(f"{authority}: {error}") from error
    except OSError as error:
        raise UnreachableError(f"{authority} does not answer ({error.strerror or 'time is up'})") from error
    return WebSocketStream(connection, early, limit=MAX_STREAM_MESSAGE_BYTES, random=os.urandom)


def _read_head(connection: ssl.SSLSocket, seconds_left: Callable[[], float]) -> tuple[bytes, bytes]:
    """Return the head of an answer, and what came after it."""
    data = b""
    while _END not in data:
        left = seconds_left()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        chunk = connection.recv(_RECEIVE_BYTES)
        if not chunk or len(data) > _MAX_HEAD_BYTES:
            raise WebSocketFaultError("the answer is not HTTP/1.1")
        data += chunk
    head, _, early = data.partition(_END)
    return head, early


def _pair(stream: WebSocketStream, dial: Dial, name: str, clock: Callable[[], float]) -> Received:
    """Prove the ticket, wait until the endpoint is there too, and return what else has come.

    Raises:
        UnreachableError: the relay answers something else.
        WebSocketFaultError: the controller broke the protocol.
        OSError: the connection has broken, or time is up.
    """
    deadline = clock() + PAIRING_SECONDS
    stream.send(preamble(dial))
    received = Received()
    while not received.pieces and not received.ended and received.close is None:
        left = deadline - clock()
        if left <= 0:
            raise TimeoutError
        stream.connection.settimeout(left)
        stream.flush()
        received = stream.receive()
    answer = b"".join(received.pieces)
    check_status(answer[:STATUS_BYTES], name)
    received.pieces = [memoryview(answer)[STATUS_BYTES:]] if len(answer) > STATUS_BYTES else []
    return received


def _serve(stream: WebSocketStream, early: Received, clock: Callable[[], float]) -> socket.socket:
    """Leave a process behind that serves the stream, and return the socket for ``ssh``."""
    ours, theirs = socket.socketpair()
    with ours, stream.connection:
        ours.setblocking(False)
        stream.connection.setblocking(False)
        pump = StreamPump(stream, ours, early, clock)
        serve_apart(pump.run, keep=(ours.fileno(), stream.connection.fileno()))
    return theirs
