"""One HTTPS request, with as little of the standard library as it takes.

``latch connect`` is started for every SSH connection. ``http.client`` would bring the packages ``email`` and ``urllib``
and double its start-up; this is the part of HTTP/1.1 (RFC 9112) that one POST to our own controller needs.
"""

import ssl
from collections.abc import Callable, Mapping

from latchstring.client.errors import TrustError, UnreachableError
from latchstring.client.tcp import authority, open_connection

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 25.0
MAX_ANSWER_BYTES = 64 * 1024
HTTP_OK = 200

_RECEIVE_BYTES = 16 * 1024
_MAX_HEADER_BYTES = 16 * 1024


def client_context(root: str | None) -> ssl.SSLContext:
    """Return a TLS 1.3 context that trusts ``root`` (PEM) and nothing else, or the system's authorities if it is None.

    The same as ``certs.tls_contexts.client_context``, which costs ``pathlib``.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.hostname_checks_common_name = False
    if root is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.load_verify_locations(cadata=root)
    return context


def open_tls(
    host: str,
    port: int,
    context: ssl.SSLContext,
    *,
    environment: Mapping[str, str],
    clock: Callable[[], float],
    meanwhile: Callable[[], None],
) -> ssl.SSLSocket:
    """Connect to any address of ``host`` and return the socket, its peer verified.

    Args:
        host: name or IP address of the controller.
        port: its port.
        context: whom to trust.
        environment: says whether a proxy leads there.
        clock: monotonic seconds.
        meanwhile: runs while the answer to the first packet of the handshake is on its way.

    Raises:
        UsageFaultError: the environment names something that is no proxy.
        UnreachableError: no connection, or no TLS.
        TrustError: the peer's certificate does not hold.
    """
    where = f"the controller at {authority(host, port)}"
    try:
        plain = open_connection(host, port, environment=environment, seconds=CONNECT_SECONDS, clock=clock)
    except OSError as error:
        raise UnreachableError(f"{where} cannot be reached: {_reason(error)}") from error
    try:
        secured = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    except BaseException:
        plain.close()
        raise
    try:
        _handshake(secured, meanwhile)
    except ssl.SSLCertVerificationError as error:
        secured.close()
        raise TrustError(
            f"{where} does not prove that it is the one you logged in to: {_reason(error)}; "
            "ask its operator for the root's fingerprint and run `latch login … --fingerprint SHA256:…`"
        ) from error
    except OSError as error:
        secured.close()
        raise UnreachableError(f"{where} does not answer with TLS 1.3: {_reason(error)}") from error
    except BaseException:
        secured.close()
        raise
    return secured


def post_json(
    connection: ssl.SSLSocket, *, host: str, path: str, token: str, body: bytes, clock: Callable[[], float]
) -> tuple[int, bytes]:
    """Send one request and return the status and the body of its answer.

    Args:
        connection: from :func:`open_tls`; of no use afterwards.
        host: value of the Host header.
        path: target of the request.
        token: the bearer token.
        body: JSON.
        clock: monotonic seconds, for the limit on the whole answer.

    Raises:
        UnreachableError: the answer is late, too long, cut short, or not HTTP/1.1 with a length.
    """
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nAccept: application/json\r\n"
        "Connection: close\r\n\r\n"
    )
    deadline = clock() + ANSWER_SECONDS
    data = b""
    wanted: int | None = None
    status = body_start = 0
    try:
        connection.sendall(head.encode("ascii") + body)
        while wanted is None or len(data) < wanted:
            remaining = deadline - clock()
            if remaining <= 0:
                raise TimeoutError("no answer in time")
            connection.settimeout(remaining)
            chunk = connection.recv(_RECEIVE_BYTES)
            if not chunk:
                raise UnreachableError("the controller closed the connection before its answer was whole")
            data += chunk
            if wanted is None and (end := data.find(b"\r\n\r\n")) >= 0:
                status, length = _parse_head(data[:end])
                body_start = end + 4
                wanted = body_start + length
            elif wanted is None and len(data) > _MAX_HEADER_BYTES:
                raise UnreachableError("the controller's answer has too long a head")
    except (OSError, UnicodeError) as error:
        raise UnreachableError(f"the controller does not answer: {_reason(error)}") from error
    return status, data[body_start:wanted]


def _handshake(secured: ssl.SSLSocket, meanwhile: Callable[[], None]) -> None:
    secured.setblocking(False)
    try:
        secured.do_handshake()
    except ssl.SSLWantReadError:
        meanwhile()
    secured.settimeout(CONNECT_SECONDS)
    secured.do_handshake()


def _parse_head(head: bytes) -> tuple[int, int]:
    """Return status and content length. Anything but a plain answer of known length is refused."""
    status_line, *lines = head.split(b"\r\n")
    fields = status_line.split(b" ", 2)
    if len(fields) < 2 or fields[0] != b"HTTP/1.1" or len(fields[1]) != 3 or not fields[1].isdigit():  # noqa: PLR2004 - an HTTP status has three digits and stands second
        raise UnreachableError("what answers there does not speak HTTP/1.1; check the address")
    lengths = []
    for line in lines:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"transfer-encoding":
            raise UnreachableError("the controller's answer has no length")
        if name.strip().lower() == b"content-length":
            lengths.append(value.strip())
    if len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > len(str(MAX_ANSWER_BYTES)):
        raise UnreachableError("the controller's answer has no length, or too great a one")
    length = int(lengths[0])
    if length > MAX_ANSWER_BYTES:
        raise UnreachableError("the controller's answer is too long")
    return int(fields[1]), length


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message or "its certificate does not hold"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS failed").replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
