"""HTTPS to the controller on the standard library: one connection, bounded answers, time-outs, errors that explain."""

import http.client
import os
import ssl
import time
from dataclasses import dataclass, field
from typing import Final

from latchstring import __version__
from latchstring.client.address import Address
from latchstring.client.errors import ClientError, TrustError, UnreachableError, one_line
from latchstring.client.tcp import open_connection

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 30.0
MAX_ANSWER_BYTES: Final = 1024 * 1024


_STALE: Final = (ConnectionError, ssl.SSLEOFError, http.client.BadStatusLine)
"""How it shows that the other side had closed a connection that we kept."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, how many seconds it may take to be answered, and how many bytes the answer may have."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    answer_seconds: float = ANSWER_SECONDS
    limit: int = MAX_ANSWER_BYTES


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, whatever its status."""

    status: int
    body: bytes


def open_tls(address: Address, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Return a connection to the controller, through the proxy that the environment names, if it names one.

    Raises:
        UsageFaultError: the environment names something that is no proxy.
        ssl.SSLError: the controller does not prove itself, or speaks no TLS.
        OSError: it cannot be reached.
    """
    plain = open_connection(
        address.host, address.port, environment=os.environ, seconds=CONNECT_SECONDS, clock=time.monotonic
    )
    try:
        return context.wrap_socket(plain, server_hostname=address.host)
    except BaseException:
        plain.close()
        raise


class HttpsTransport:
    """Requests to one controller, one after the other. The connection is kept from one GET to the next."""

    def __init__(self, address: Address, context: ssl.SSLContext) -> None:
        self._address = address
        self._context = context
        self._connection: http.client.HTTPSConnection | None = None

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def send(self, request: Request) -> Answer:
        """Send a request and return its answer.

        Only a GET goes over a connection that was used before, and only there is a failure tried once more: the
        controller may have closed a quiet connection. Nothing that changes something is ever sent twice.

        Raises:
            TrustError: the controller does not prove that it is the one that is trusted.
            UnreachableError: no connection, no answer in time, or an answer longer than the request's limit.
        """
        if request.method != "GET":
            self.close()
        used_before = self._connection is not None
        try:
            return self._exchange(request)
        except _STALE as error:
            self.close()
            if not used_before:
                raise self._failure(error) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._failure(error) from error
        return self.send(request)  # over a fresh connection now

    def _exchange(self, request: Request) -> Answer:
        connection = self._connect()
        connection.sock.settimeout(request.answer_seconds)
        headers = {"User-Agent": f"latch/{__version__}", **request.headers}
        connection.request(request.method, request.target, body=request.body, headers=headers)
        with connection.getresponse() as response:
            content = self._read(response, request.limit)
        if response.will_close:
            self.close()
        return Answer(response.status, content)

    def _read(self, response: http.client.HTTPResponse, limit: int) -> bytes:
        """Read a whole body. An answer that ends when the connection does could have been cut by anybody."""
        fault = "has no length" if response.length is None and not response.chunked else None
        content = b"" if fault else response.read(limit + 1)
        if len(content) > limit:
            fault = f"is longer than {limit} bytes"
        elif response.length:
            fault = "was cut short"
        if fault is not None:
            self.close()
            raise UnreachableError(f"the answer of {self._address.authority} {fault}: try again")
        return content

    def _connect(self) -> http.client.HTTPSConnection:
        if self._connection is None:
            connection = http.client.HTTPSConnection(self._address.host, self._address.port)
            connection.auto_open = 0  # it would go past the proxy
            connection.sock = open_tls(self._address, self._context)
            self._connection = connection
        return self._connection

    def _failure(self, error: Exception) -> ClientError:
        where = f"the controller at {self._address.authority}"
        if isinstance(error, ssl.SSLCertVerificationError):
            return TrustError(
                f"{where} does not prove that it is the one that you logged in to ({one_line(error.verify_message)}): "
                "ask its operator for the root's fingerprint and run `latch login … --fingerprint SHA256:…`"
            )
        if isinstance(error, ssl.SSLError):
            reason = (error.reason or "TLS failed").replace("_", " ").lower()
            return UnreachableError(f"{where} does not answer with TLS 1.3 ({one_line(reason)}): check host and port")
        if isinstance(error, TimeoutError):
            return UnreachableError(f"{where} does not answer in time: try again")
        if isinstance(error, OSError):
            return UnreachableError(f"{where} cannot be reached: {error.strerror or one_line(str(error))}")
        return UnreachableError(f"{where} does not answer in HTTP: check host and port")
