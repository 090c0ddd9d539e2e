"""HTTP proxies, and the way through one: the CONNECT method (RFC 9110, section 9.3.6)."""

import errno
import socket
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import SplitResult, unquote, urlsplit

from latchstring.client.errors import UsageFaultError, one_line
from latchstring.client.tcp import authority, connect_straight

DEFAULT_PORT = 3128
MAX_ANSWER_BYTES = 8192

_END = b"\r\n\r\n"
_NOT_AUTHENTICATED = "407"


class Proxy:
    """An HTTP proxy. Its credentials are never printed."""

    __slots__ = ("authorization", "host", "port")

    def __init__(self, host: str, port: int, authorization: str | None) -> None:
        self.host = host
        self.port = port
        self.authorization = authorization
        """The value of ``Proxy-Authorization``, if the proxy's URL has credentials."""

    @property
    def where(self) -> str:
        """Its name in a message."""
        return f"the proxy at {authority(self.host, self.port)}"

    def __repr__(self) -> str:
        return f"Proxy({authority(self.host, self.port)})"


class ProxyError(OSError):
    """The proxy cannot be reached, or does not let the connection through. ``strerror`` names it, and says why."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.EHOSTUNREACH, message)


def parse_proxy(url: str) -> Proxy:
    """Return the proxy that ``url`` names.

    Raises:
        UsageFaultError: it names none that can be used. The message does not repeat it: it may hold a password.
    """
    fault = UsageFaultError("HTTPS_PROXY is not the address of an HTTP proxy: write it like http://proxy.test:3128")
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError:
        raise fault from None  # its message would repeat the URL
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
        raise fault
    return Proxy(parts.hostname, port or DEFAULT_PORT, _basic(parts))


def connect_through(proxy: Proxy, host: str, port: int, *, seconds: float, clock: Callable[[], float]) -> socket.socket:
    """Return a connection to ``host:port`` through the proxy, which also looks up the name.

    Raises:
        ProxyError: there is none within ``seconds``.
    """
    deadline = clock() + seconds
    try:
        connection = connect_straight(proxy.host, proxy.port, seconds)
    except OSError as error:
        raise ProxyError(f"{proxy.where} cannot be reached ({error.strerror or 'no answer'})") from error
    try:
        _request_tunnel(connection, proxy, authority(host, port))
        answer = _read_answer(connection, proxy, lambda: deadline - clock())
        _check_answer(answer, proxy)
        connection.settimeout(seconds)
    except ProxyError:
        connection.close()
        raise
    except OSError as error:
        connection.close()
        raise ProxyError(f"{proxy.where} does not answer ({error.strerror or 'time is up'})") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _request_tunnel(connection: socket.socket, proxy: Proxy, target: str) -> None:
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode())


def _read_answer(connection: socket.socket, proxy: Proxy, remaining: Callable[[], float]) -> bytes:
    answer = b""
    while not answer.endswith(_END):
        left = remaining()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        # One byte at a time: what follows the answer belongs to the tunnel, not to us.
        byte = connection.recv(1)
        if not byte or len(answer) >= MAX_ANSWER_BYTES:
            raise ProxyError(f"{proxy.where} does not answer in HTTP")
        answer += byte
    return answer


def _check_answer(answer: bytes, proxy: Proxy) -> None:
    version, _, rest = answer.partition(b"\r\n")[0].partition(b" ")
    status = one_line(rest.decode("latin-1"), 60)
    if not version.startswith(b"HTTP/1.") or not status[:3].isdigit():
        raise ProxyError(f"{proxy.where} does not answer in HTTP")
    if status.startswith("2"):
        return
    hint = ""
    if status.startswith(_NOT_AUTHENTICATED):
        hint = "check" if proxy.authorization else "write"
        hint = f", {hint} user and password in HTTPS_PROXY: http://USER:PASSWORD@{authority(proxy.host, proxy.port)}"
    raise ProxyError(f"{proxy.where} refuses the connection (HTTP status {status}){hint}")


def _basic(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    encoded = credentials.encode("utf-8", "surrogateescape")
    return f"Basic {b64encode(encoded).decode()}"
