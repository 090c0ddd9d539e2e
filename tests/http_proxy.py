"""A small HTTP proxy on loopback that knows the CONNECT method, for tests of the ways out."""

import contextlib
import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PIECE = 65536


class HttpProxy:
    """Connects to any port that ``allows`` says; with ``credentials`` only whoever knows them.

    ``asked`` has the target of every request, whatever was answered; ``heads`` the whole requests.
    """

    def __init__(self, *, allows: Callable[[int], bool], credentials: str | None) -> None:
        self._allows = allows
        self._wanted = None if credentials is None else f"Basic {b64encode(credentials.encode()).decode()}"
        self._credentials = credentials
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """What HTTPS_PROXY is set to, with the credentials if there are any."""
        return (
            f"http://{self._credentials}@127.0.0.1:{self.port}"
            if self._credentials
            else f"http://127.0.0.1:{self.port}"
        )

    def close(self) -> None:
        """Stop, and close every connection."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._kept(client), contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                byte = client.recv(1)
                if not byte:
                    return
                head += byte
            status, target = self._judge(head.decode())
            if target is None:
                client.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
                return
            with self._kept(socket.create_connection(target)) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n")
                back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                back.start()
                _copy(client, server)
                back.join()

    def _judge(self, head: str) -> tuple[str, tuple[str, int] | None]:
        request, *fields = head.split("\r\n")
        method, target, _ = request.split(" ")
        self.heads.append(head)
        self.asked.append(target)
        if method != "CONNECT":
            return "405 Method Not Allowed", None
        if self._wanted is not None and f"Proxy-Authorization: {self._wanted}" not in fields:
            return "407 Proxy Authentication Required", None
        host, _, port = target.rpartition(":")
        if not self._allows(int(port)):
            return "403 Forbidden", None
        return "200", (host.strip("[]"), int(port))

    @contextmanager
    def _kept(self, connection: socket.socket) -> Iterator[socket.socket]:
        with self._lock:
            self._open.add(connection)
        with connection:
            yield connection
        with self._lock:
            self._open.discard(connection)


@contextmanager
def http_proxy(
    *, allows: Callable[[int], bool] = lambda _port: True, credentials: str | None = None
) -> Iterator[HttpProxy]:
    """Run a proxy."""
    proxy = HttpProxy(allows=allows, credentials=credentials)
    try:
        yield proxy
    finally:
        proxy.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes one way, and pass on how they end: in order, or with the connection."""
    try:
        while piece := source.recv(_PIECE):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
