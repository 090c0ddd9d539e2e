"""The agent's side of the control socket."""

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from latchstring.certs.keyfiles import PRIVATE_MODE
from latchstring.endpoint.errors import DataDirectoryError, EndpointError, RefusedError, UsageFaultError
from latchstring.endpoint.local.messages import (
    MAX_REQUEST_BYTES,
    AccessAnswer,
    Answer,
    Decided,
    Ended,
    Failure,
    FailureKind,
    PolicyAnswer,
    Progress,
    Reply,
    Request,
    RequestList,
    SessionList,
    StatusAnswer,
    decode_request,
    encode,
)
from latchstring.endpoint.local.socket_path import short_path

MAX_CLIENTS: Final = 32
_REQUEST_SECONDS: Final = 5.0
_CREDENTIALS: Final = struct.Struct("3i")
_ROOT: Final = 0

_log = logging.getLogger(__name__)


AnswerBody = AccessAnswer | StatusAnswer | PolicyAnswer | RequestList | SessionList | Decided | Ended

CarryOut = Callable[[Request, Callable[[str], None]], Coroutine[Any, Any, AnswerBody]]
"""Carries out one request, reports progress meanwhile, and returns the answer, or raises an ``EndpointError``."""


class LocalServer:
    """Listens on the control socket.

    Args:
        path: of the socket.
        carry_out: does what is asked; may take its time, and report progress meanwhile.
    """

    def __init__(self, path: Path, carry_out: CarryOut) -> None:
        self._path = path
        self._carry_out = carry_out
        self._server: asyncio.Server | None = None
        self._clients = 0

    async def start(self) -> None:
        """Listen. The lock on the data directory is held, so a socket that is there belongs to nobody.

        Raises:
            DataDirectoryError: the socket cannot be made.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            self._path.unlink(missing_ok=True)
            with short_path(self._path) as name:
                # Private from birth: the mode of the socket's file is that of the open socket.
                os.fchmod(listener.fileno(), PRIVATE_MODE)
                listener.bind(name)
            self._path.chmod(PRIVATE_MODE)
            self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_REQUEST_BYTES)
        except OSError as error:
            listener.close()
            raise DataDirectoryError(f"the control socket {self._path} cannot be made: {error.strerror}") from error

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(OSError):
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._clients >= MAX_CLIENTS or not _is_welcome(writer):
                return
            self._clients += 1
            try:
                await self._converse(reader, writer)
            finally:
                self._clients -= 1
        except (ConnectionError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            _log.debug("a conversation on the control socket broke off: %s", error)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_REQUEST_SECONDS):
            line = await reader.readline()
        reply = await self._reply(line, lambda text: _say(writer, Progress(text=text)))
        _say(writer, reply)
        await writer.drain()

    async def _reply(self, line: bytes, progress: Callable[[str], None]) -> Reply:
        try:
            request = decode_request(line)
        except ValueError as error:
            return Failure(kind=FailureKind.USAGE, text=str(error))
        # Begun before anything is said to whoever asked, and shielded: they may have gone away, and `off` is obeyed.
        carried_out = asyncio.ensure_future(self._carry_out(request, progress))
        progress("taken")
        try:
            return Answer(answer=await asyncio.shield(carried_out))
        except UsageFaultError as error:
            return Failure(kind=FailureKind.USAGE, text=str(error))
        except RefusedError as error:
            return Failure(kind=FailureKind.REFUSED, text=str(error))
        except EndpointError as error:
            return Failure(kind=FailureKind.FAILED, text=str(error))


def _say(writer: asyncio.StreamWriter, reply: Reply) -> None:
    """Say something to whoever asked, if they are still there."""
    if not writer.is_closing():
        with contextlib.suppress(OSError, RuntimeError):  # uvloop raises the latter for a transport that has closed
            writer.write(encode(reply))


def _is_welcome(writer: asyncio.StreamWriter) -> bool:
    """Return whether root or our own user is at the other end, by what the kernel says."""
    connection = writer.get_extra_info("socket")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(credentials)
    return user in (_ROOT, os.geteuid())
