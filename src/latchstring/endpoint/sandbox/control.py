"""The agent's side of the socket to a sandbox's init. Protocol: ``init``."""

import array
import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Final

from latchstring.endpoint.sandbox.errors import SandboxDeadError, SpawnError
from latchstring.endpoint.sandbox.init import MAX_MESSAGE_BYTES

_MAX_REPLY_BYTES: Final = 4096
_MAX_WAITING: Final = 256
_CREDENTIALS: Final = struct.Struct("3i")
_MAX_DESCRIPTORS: Final = 2
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(
    _MAX_DESCRIPTORS * array.array("i").itemsize
)


def control_pair() -> tuple[socket.socket, socket.socket]:
    """Return the agent's end and init's end of a new control socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    # The kernel then tells the sender's pid, translated into our own PID namespace.
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


class Control:
    """Sends requests without blocking and hands on replies, with their descriptors, which are the taker's to close.

    Attributes:
        peer_pid: who sent the last reply, as the kernel says; 0 before the first.
    """

    def __init__(
        self, sock: socket.socket, *, on_reply: Callable[[list[bytes], list[int]], None], on_lost: Callable[[], None]
    ) -> None:
        self.peer_pid = 0
        self._sock = sock
        self._on_reply = on_reply
        self._on_lost = on_lost
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._loop.add_reader(sock, self._readable)

    def request(self, fields: list[bytes], descriptors: tuple[int, ...] = ()) -> None:
        """Send one request; descriptors are copied, and stay the caller's to close.

        Raises:
            SpawnError: it is too long, holds a NUL, or too many are waiting.
            SandboxDeadError: the socket is closed.
        """
        message = b"\0".join(fields)
        if len(message) > MAX_MESSAGE_BYTES or message.count(b"\0") != len(fields) - 1:
            raise SpawnError("the command is too long, or holds a NUL")
        if self._closed:
            raise SandboxDeadError("the sandbox has ended")
        if len(self._waiting) >= _MAX_WAITING:
            raise SpawnError("the sandbox does not keep up")
        if self._waiting or not self._sent(message, descriptors):
            self._waiting.append((message, [os.dup(descriptor) for descriptor in descriptors]))
            self._loop.add_writer(self._sock, self._writable)

    def close(self) -> None:
        """Close the socket, which ends the sandbox."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        while self._waiting:
            _close_all(self._waiting.popleft()[1])

    def _sent(self, message: bytes, descriptors: tuple[int, ...] | list[int]) -> bool:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            self._sock.sendmsg([message], rights)
        except BlockingIOError:
            return False
        except OSError as error:
            raise SandboxDeadError("the sandbox has ended") from error
        return True

    def _writable(self) -> None:
        try:
            while self._waiting and self._sent(*self._waiting[0]):
                _close_all(self._waiting.popleft()[1])
        except SandboxDeadError:
            self._lost()
            return
        if not self._waiting:
            self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        while not self._closed:
            try:
                message, ancillary, _, _ = self._sock.recvmsg(
                    _MAX_REPLY_BYTES, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError:
                message, ancillary = b"", []
            if not message:
                self._lost()
                return
            descriptors = array.array("i")
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    self.peer_pid = _CREDENTIALS.unpack(data)[0]
                elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors.frombytes(data)
            self._on_reply(message.split(b"\0"), list(descriptors))

    def _lost(self) -> None:
        self.close()
        self._on_lost()


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
