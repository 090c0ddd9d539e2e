"""The listening socket: accepts, and waits for better times when the process is out of descriptors."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

BACKLOG: Final = 1024
_ACCEPTS_PER_TURN: Final = 64
_PAUSE_SECONDS: Final = 0.25
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logging.getLogger(__name__)


class Listener:
    """Accepts connections of one listening socket, until it is closed."""

    def __init__(
        self,
        listening: socket.socket,
        *,
        loop: asyncio.AbstractEventLoop,
        on_connection: Callable[[socket.socket, str], None],
        on_pause: Callable[[], None],
    ) -> None:
        self._listening = listening
        self._loop = loop
        self._on_connection = on_connection
        self._on_pause = on_pause
        self._resume: asyncio.TimerHandle | None = None
        self._exhausted = False
        self._accept_from_now_on()

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that it listens on."""
        host, port = self._listening.getsockname()[:2]
        return str(host), int(port)

    def close(self) -> None:
        """Stop listening."""
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._listening.fileno())
        self._listening.close()

    def _accept_from_now_on(self) -> None:
        self._resume = None
        self._loop.add_reader(self._listening.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                connection, address = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(error)
                    return
                continue  # a connection that broke before it was accepted: accept(2) hands its error over
            self._exhausted = False
            self._on_connection(connection, str(address[0]))

    def _pause(self, error: OSError) -> None:
        """Leave new connections in the kernel's queue for a moment; what is open goes on, and frees descriptors."""
        if not self._exhausted:
            self._exhausted = True
            _log.warning("relay accepts no connections for now: %s", error.strerror)
        self._on_pause()
        self._loop.remove_reader(self._listening.fileno())
        self._resume = self._loop.call_later(_PAUSE_SECONDS, self._accept_from_now_on)
