"""A WebSocket's server, which makes and reads frames by the words of RFC 6455, without the code under test."""

import socket
import ssl
import struct
from base64 import b64encode
from hashlib import sha1

CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA
SECONDS = 20


def server_frame(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0) -> bytes:
    """Return a frame as a server sends it: no mask, the shortest form of the length."""
    first = bytes((fin << 7 | reserved | opcode,))
    if len(payload) < 126:
        return first + bytes((len(payload),)) + payload
    if len(payload) < 65536:
        return first + b"\x7e" + len(payload).to_bytes(2, "big") + payload
    return first + b"\x7f" + len(payload).to_bytes(8, "big") + payload


def client_frame_parts(frame: bytes) -> tuple[int, bytes]:
    """Return opcode and payload of a client's frame, unmasked a byte at a time; it must be whole, final and minimal."""
    assert frame[0] & 0xF0 == 0x80
    assert frame[1] & 0x80
    length, start = frame[1] & 0x7F, 2
    if length == 126:
        length, start = int.from_bytes(frame[2:4], "big"), 4
        assert length >= 126
    elif length == 127:
        length, start = int.from_bytes(frame[2:10], "big"), 10
        assert length >= 65536
    mask, masked = frame[start : start + 4], frame[start + 4 :]
    assert len(masked) == length
    return frame[0] & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))


def upgrade_answer(key: bytes) -> bytes:
    """Return the answer to a request with this key."""
    proof = b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n"
    )


class WebSocketPeer:
    """One connection of a client, which has asked for a WebSocket with ``key``; it gets the answer, and ``more``."""

    def __init__(self, secured: ssl.SSLSocket, key: bytes, more: bytes = b"") -> None:
        self.secured = secured
        secured.sendall(upgrade_answer(key) + more)

    def send(self, payload: bytes = b"", opcode: int = BINARY) -> None:
        """Send one message."""
        self.secured.sendall(server_frame(opcode, payload))

    def receive(self) -> tuple[int, bytes]:
        """Return opcode and payload of the client's next frame."""
        frame = self._read(2)
        length = frame[1] & 0x7F
        if length >= 126:
            more = self._read(2 if length == 126 else 8)
            frame, length = frame + more, int.from_bytes(more, "big")
        return client_frame_parts(frame + self._read(4 + length))

    def receive_stream(self) -> bytes:
        """Return all bytes of the stream up to its end; pongs between them are passed over."""
        stream = b""
        while True:
            opcode, payload = self.receive()
            assert opcode in (BINARY, PONG)
            if opcode == BINARY and not payload:
                return stream
            stream += payload if opcode == BINARY else b""

    def receive_close(self) -> int:
        """Pass over what comes before the closing frame; return its code."""
        while True:
            opcode, payload = self.receive()
            if opcode == CLOSE:
                return int.from_bytes(payload, "big")

    def abort(self) -> None:
        """Reset the connection."""
        self.secured.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.secured.close()

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self.secured.recv(size - len(data))
            if not chunk:
                raise ConnectionError("the client closed the connection")
            data += chunk
        return data
