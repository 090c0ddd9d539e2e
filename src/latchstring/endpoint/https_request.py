"""One HTTP request over TLS on a connection that is there, within the time that the caller gives it.

The connection ends with the answer, so all of it is read before the standard library takes it apart.
"""

import asyncio
import io
import socket
import ssl
from http.client import HTTPException, HTTPResponse
from typing import Final

_MAX_HEAD_BYTES: Final = 16 * 1024
_PIECE_BYTES: Final = 64 * 1024


class NotHttpError(Exception):
    """What answers does not speak HTTP."""


class AnswerTooLongError(Exception):
    """The answer is longer than it may be."""


async def send_request(
    connection: socket.socket,
    context: ssl.SSLContext,
    host: str,
    *,
    method: str,
    target: str,
    body: bytes | None,
    limit: int,
) -> tuple[int, bytes]:
    """Return status and body of the answer. The connection is closed after it.

    Args:
        connection: to the server, or through a tunnel to it; non-blocking.
        context: whom to trust.
        host: whose certificate it has to be.
        method: of the request.
        target: path and query.
        body: JSON to be sent.
        limit: bytes of the answer's body.

    Raises:
        ssl.SSLError: the server is not trusted.
        NotHttpError: its answer is none.
        AnswerTooLongError: its answer is longer than ``limit``.
        OSError: the connection broke.
    """
    try:
        reader, writer = await asyncio.open_connection(sock=connection, ssl=context, server_hostname=host)
    except BaseException:
        connection.close()
        raise
    try:
        writer.write(_head(method, target, host, body) + (body or b""))
        received = b""
        while piece := await reader.read(_PIECE_BYTES):
            received += piece
            if len(received) > limit + _MAX_HEAD_BYTES:
                raise AnswerTooLongError
    finally:
        writer.transport.abort()
    return _parse(received, method, limit)


def _head(method: str, target: str, host: str, body: bytes | None) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {f'[{host}]' if ':' in host else host}", "Connection: close"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode()


class _Received:
    """What has been received, as :class:`HTTPResponse` wants to read it."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, *_: object) -> io.BytesIO:
        """Return it as a file."""
        return io.BytesIO(self._received)


def _parse(received: bytes, method: str, limit: int) -> tuple[int, bytes]:
    response = HTTPResponse(_Received(received), method=method)  # type: ignore[arg-type]  # it only wants the file
    try:
        response.begin()
        content = response.read(limit + 1)
    except (HTTPException, ValueError) as error:
        raise NotHttpError("what answers there does not speak HTTP") from error
    if len(content) > limit:
        raise AnswerTooLongError
    return response.status, content
