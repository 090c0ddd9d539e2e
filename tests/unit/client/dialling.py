"""What ``latch connect`` meets in tests: relays, raw and in a WebSocket, and somebody who runs it as ``ssh`` does."""

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from latchstring.client.home import Home
from latchstring.protocol.api import DialResponse
from latchstring.protocol.dial import PREAMBLE_BYTES
from unit.client.samples import DIAL_ID, SESSION_ID
from unit.client.websocket_peer import BINARY, WebSocketPeer

LATCH = Path(sys.prefix) / "bin" / "latch"
SECRET = "ab" * 32
SECONDS = 20
BANNER = b"SSH-2.0-test\r\n"


class FakeRelay:
    """Takes one connection, reads its preamble, and answers ``status`` and a banner; without a status it closes.

    If it ``resets``, it does that instead of answering, as something on the way may do to what it does not know.
    """

    def __init__(self, status: bytes, *, resets: bool = False) -> None:
        self._resets = resets
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.received = b""
        self._thread = threading.Thread(target=self._serve, args=(status,), daemon=True)
        self._thread.start()

    def _serve(self, status: bytes) -> None:
        try:
            stream, _ = self._listener.accept()
        except OSError:
            return
        with stream:
            while len(self.received) < PREAMBLE_BYTES:
                self.received += stream.recv(PREAMBLE_BYTES - len(self.received))
            if self._resets:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            with contextlib.suppress(ConnectionResetError):
                stream.sendall(status and status + BANNER)
                if status:
                    stream.recv(1)  # until the other side has gone

    def close(self) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(SECONDS)


@contextmanager
def relay_with(status: bytes, *, resets: bool = False) -> Iterator[FakeRelay]:
    """Run a relay that answers ``status``, or resets the connection."""
    relay = FakeRelay(status, resets=resets)
    try:
        yield relay
    finally:
        relay.close()


def dial_response(certificate: str, relay_port: int) -> DialResponse:
    """Return what the controller answers to a dial."""
    return DialResponse(
        session_id=SESSION_ID,
        certificate=certificate,
        dial_id=DIAL_ID,
        relay_host="localhost",
        relay_port=relay_port,
        secret=SECRET,
    )


class RelayOverWebSocket:
    """The relay behind the controller's HTTPS port: sends ``first``, and then what it gets back, until its end."""

    def __init__(self, first: bytes) -> None:
        self._first = first
        self.preambles: list[bytes] = []
        self.codes: list[int] = []
        self.served = threading.Semaphore(0)

    def __call__(self, peer: WebSocketPeer) -> None:
        """Serve one WebSocket."""
        self.preambles.append(peer.receive()[1])
        peer.secured.sendall(self._first)
        try:
            while payload := self._receive(peer):
                peer.send(payload)
            peer.send()
            self.codes.append(peer.receive_close())
        except (OSError, ConnectionError):
            self.codes.append(1006)
        finally:
            self.served.release()

    def _receive(self, peer: WebSocketPeer) -> bytes:
        opcode, payload = peer.receive()
        return payload if opcode == BINARY else payload + b"(pong)"

    def wait_served(self) -> None:
        """Wait until a WebSocket has ended."""
        assert self.served.acquire(timeout=SECONDS)


class Connected:
    """What ``latch connect`` left: exit code, words on stderr, and the socket that it passed, if it did."""

    def __init__(self, code: int, err: str, stream: socket.socket | None) -> None:
        self.code = code
        self.err = err
        self._stream = stream

    @property
    def passed(self) -> bool:
        """Whether a socket was passed."""
        return self._stream is not None

    @property
    def stream(self) -> socket.socket:
        """The socket."""
        assert self._stream is not None, self.err
        return self._stream


@contextmanager
def connected(environment: Mapping[str, str] | None = None, *, shell: str = "") -> Iterator[Connected]:
    """Run the command as ``ssh`` does. It returns when the command has ended *and* closed its standard error."""
    ours, theirs = socket.socketpair()
    command = ["sh", "-c", f'exec "$0" "$@" {shell}', str(LATCH), "connect", "acme-pbx1.latch"]
    with ours, theirs:
        ran = subprocess.run(
            command,
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            text=True,
            timeout=SECONDS,
            check=False,
        )
        theirs.close()
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 2)
    stream = socket.socket(fileno=descriptors[0]) if descriptors else None
    try:
        if stream is not None:
            stream.settimeout(SECONDS)
        yield Connected(ran.returncode, ran.stderr, stream)
    finally:
        if stream is not None:
            stream.close()


def left_processes(home: Home) -> list[int]:
    """Return the pids of the processes that run with this home: a test's own are none of them."""
    variable = f"LATCH_HOME={home.path}\0".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if variable in (folder / "environ").read_bytes() and b"latch" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found
