"""A pump that runs between a socket, as ``ssh`` would have it, and a controller's end of a WebSocket over real TLS."""

import fcntl
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from latchstring.certs.tls_contexts import TlsCredentials, server_context
from latchstring.client.lean_https import client_context, open_tls
from latchstring.client.websocket_frames import Received
from latchstring.client.websocket_pump import StreamPump
from latchstring.client.websocket_relay import open_websocket
from unit.client.fake_controller import FakeController
from unit.client.websocket_peer import SECONDS, WebSocketPeer

MEGABYTE = 1024 * 1024


class Line:
    """A pump that runs: ``ssh`` is the socket that ``ssh`` would have, ``peer`` the controller's end."""

    def __init__(
        self, request: str, peer: WebSocketPeer, ssh: socket.socket, pump: Future[None], pool: ThreadPoolExecutor
    ) -> None:
        self.request = request
        self.peer = peer
        self.ssh = ssh
        self._pump = pump
        self._pool = pool

    def meanwhile(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Do something in another thread."""
        return self._pool.submit(work, *arguments)

    def pump_ended(self) -> None:
        """Wait until the pump has ended, by itself and without an error."""
        self._pump.result(SECONDS)

    def pump_goes_on(self) -> bool:
        """Tell whether the pump runs, and still does after a while."""
        try:
            self._pump.result(0.2)
        except TimeoutError:
            return True
        return False

    def hear(self) -> bytes:
        """Return all that ``ssh`` gets until its connection ends, in whatever way."""
        heard = b""
        with suppress(ConnectionResetError):
            while chunk := self.ssh.recv(MEGABYTE):
                heard += chunk
        return heard


def upgraded(secured: ssl.SSLSocket, more: bytes) -> tuple[str, WebSocketPeer]:
    """Take a request for a WebSocket; return it, and the WebSocket."""
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        request += secured.recv(1)
    key = next(line.partition(b": ")[2] for line in request.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
    return request.decode(), WebSocketPeer(secured, key, more)


@contextmanager
def running_line(
    controller: FakeController, early: bytes = b"", *, narrow: bool = False, with_answer: bytes = b""
) -> Iterator[Line]:
    """Connect a pump to a peer over TLS.

    Args:
        controller: whose keys the peer has.
        early: what the pump is told came before it.
        narrow: the kernel holds next to nothing for ``ssh``.
        with_answer: what the peer sends together with its answer to the upgrade.
    """
    context = server_context(TlsCredentials(controller.directory / "tls.pem", controller.directory / "tls.key"))
    trusted = client_context(controller.keys.x509.root_pem().decode())
    ssh, ours = socket.socketpair()
    ssh.settimeout(SECONDS)
    ours.setblocking(False)
    if narrow:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool, ssh:
        accepted = pool.submit(
            lambda: upgraded(context.wrap_socket(listener.accept()[0], server_side=True), with_answer)
        )
        port = listener.getsockname()[1]
        connection = open_tls("127.0.0.1", port, trusted, environment={}, clock=time.monotonic, meanwhile=lambda: None)
        stream = open_websocket(connection, f"127.0.0.1:{port}", time.monotonic)
        request, peer = accepted.result(SECONDS)
        peer.secured.settimeout(SECONDS)
        stream.connection.setblocking(False)
        received = Received()
        received.pieces = [memoryview(early)] if early else []
        pump = StreamPump(stream, ours, received, time.monotonic)
        with peer.secured, stream.connection:
            yield Line(request, peer, ssh, pool.submit(pump.run), pool)
            ssh.close()
            peer.secured.close()


def fill(connection: socket.socket) -> None:
    """Send until nothing is taken for a while."""
    connection.settimeout(0.5)
    with suppress(TimeoutError):
        while True:
            connection.send(b"x" * 65536)


def wait_until_stuck(connection: socket.socket) -> None:
    """Wait until what a socket has not got rid of stays the same for a while."""
    before, since = -1, time.monotonic()
    while time.monotonic() - since < 0.5:
        held = unsent_bytes(connection)
        if held != before or not held:
            before, since = held, time.monotonic()
        threading.Event().wait(0.02)


def unsent_bytes(connection: socket.socket) -> int:
    """Return how many bytes the kernel holds that the other side has not acknowledged."""
    return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])
