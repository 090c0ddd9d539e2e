"""Serves SSH on the sockets that are dialled, with a server that is loaded when the first session is about to open.

An endpoint that waits, as it does nearly all of the time, does without the server's code: about 8 MB.
"""

import asyncio
import importlib
import socket
from collections.abc import Awaitable
from typing import Final, Protocol, cast

from latchstring.endpoint.ssh.identity import HostIdentity
from latchstring.endpoint.ssh.ports import SessionDirectory

_SERVER: Final = "latchstring.endpoint.ssh.server"


class SshService:
    """The SSH server of an endpoint.

    Args:
        identity: its host key and certificate.
        user_ca: the pinned user authority, on one line.
    """

    def __init__(self, identity: HostIdentity, user_ca: str) -> None:
        self._identity = identity
        self._user_ca = user_ca
        self._loading: asyncio.Task[_Serve] | None = None

    def prepare(self) -> None:
        """Begin to load the server, since it will be needed soon. Does not wait."""
        if self._loading is None:
            self._loading = asyncio.create_task(_load(), name="SSH server")

    async def serve(self, connection: socket.socket, sessions: SessionDirectory) -> None:
        """Serve one socket until its connection has ended; see ``ssh.server``."""
        self.prepare()
        assert self._loading is not None  # noqa: S101 - it is being loaded now
        serve = await asyncio.shield(self._loading)
        await serve(connection, identity=self._identity, user_ca=self._user_ca, sessions=sessions)


class _Serve(Protocol):
    def __call__(
        self, sock: socket.socket, *, identity: HostIdentity, user_ca: str, sessions: SessionDirectory
    ) -> Awaitable[None]: ...


async def _load() -> _Serve:
    server = await asyncio.to_thread(importlib.import_module, _SERVER)
    return cast("_Serve", server.serve_session_socket)
