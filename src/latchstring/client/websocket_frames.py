"""The client's side of a WebSocket (RFC 6455), as far as the relay's stream needs it. Sans-I/O, standard library only.

What is left out is refused, not ignored: no extensions, no subprotocol, no text. A message may come in fragments, up to
the limit on the whole of it; its bytes are given out as they arrive, since the stream's boundaries mean nothing. A
message without a byte is the end of the stream in that direction (``protocol/relay_websocket.py``).

Whatever the peer does wrong raises :class:`WebSocketFaultError` with the code that the closing frame should have.
"""

import hashlib
import hmac
from binascii import b2a_base64

NONCE_BYTES = 16
MASK_BYTES = 4
MAX_CONTROL_BYTES = 125

NORMAL = 1000
PROTOCOL_ERROR = 1002
UNSUPPORTED = 1003
NO_STATUS = 1005
TOO_LONG = 1009

BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

_CONTINUATION = 0x0
_TEXT = 0x1
_FIN = 0x80
_RESERVED_BITS = 0x70
_OPCODE = 0x0F
_MASKED = 0x80
_LENGTH = 0x7F
_TWO_BYTES = 126
_EIGHT_BYTES = 127
_LENGTH_BYTES = {_TWO_BYTES: 2, _EIGHT_BYTES: 8}
_LEAST = {_TWO_BYTES: 126, _EIGHT_BYTES: 0x1_0000}
_SWITCHING_PROTOCOLS = 101
_ACCEPT_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_RESERVED_CODES = frozenset((1004, NO_STATUS, 1006, 1015))
_LEAST_CODE = 1000
_GREATEST_CODE = 4999
_CODE_BYTES = 2


class WebSocketFaultError(Exception):
    """The peer broke the protocol; ``code`` is what to close with."""

    def __init__(self, message: str, code: int = PROTOCOL_ERROR) -> None:
        super().__init__(message)
        self.code = code


class UpgradeRefusedError(WebSocketFaultError):
    """The peer speaks HTTP, and answered with another ``status`` than the change to WebSocket."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status


def upgrade_request(authority: str, path: str, nonce: bytes) -> bytes:
    """Return the request that asks for a WebSocket. ``nonce`` is random: ``NONCE_BYTES`` of it."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_key(nonce).decode()}\r\n\r\n"
    ).encode("ascii")


def check_upgrade(head: bytes, nonce: bytes) -> None:
    """Check the answer's head, without the empty line that ends it, against the request with ``nonce``.

    Raises:
        UpgradeRefusedError: it is another answer of HTTP.
        WebSocketFaultError: it is no answer to that request.
    """
    status_line, *lines = head.split(b"\r\n")
    version, _, rest = status_line.partition(b" ")
    if version != b"HTTP/1.1" or not rest[:3].isdigit() or rest[3:4] not in (b"", b" "):
        raise WebSocketFaultError("the answer is not HTTP/1.1")
    if int(rest[:3]) != _SWITCHING_PROTOCOLS:
        raise UpgradeRefusedError(int(rest[:3]))
    fields: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        fields.setdefault(name.strip().lower(), []).append(value.strip())
    if fields.get(b"upgrade", [b""])[0].lower() != b"websocket" or not _has_upgrade(fields.get(b"connection", [])):
        raise WebSocketFaultError("the answer is no upgrade to WebSocket")
    if fields.keys() & {b"sec-websocket-extensions", b"sec-websocket-protocol"}:
        raise WebSocketFaultError("the answer has an extension or a subprotocol that nobody asked for")
    accepts = fields.get(b"sec-websocket-accept", [])
    if len(accepts) != 1 or not hmac.compare_digest(accepts[0], accept_value(nonce)):
        raise WebSocketFaultError("the answer is not to our request")


def accept_value(nonce: bytes) -> bytes:
    """Return what the answer to the request with ``nonce`` proves itself with."""
    return b2a_base64(hashlib.sha1(_key(nonce) + _ACCEPT_SUFFIX, usedforsecurity=False).digest(), newline=False)


def encode_frame(opcode: int, payload: bytes | memoryview, mask: bytes) -> bytes:
    """Return one whole message as one masked frame. ``mask`` is fresh and random: ``MASK_BYTES`` of it."""
    size = len(payload)
    if size < _TWO_BYTES:
        head = bytes((_FIN | opcode, _MASKED | size))
    elif size < _LEAST[_EIGHT_BYTES]:
        head = bytes((_FIN | opcode, _MASKED | _TWO_BYTES)) + size.to_bytes(2, "big")
    else:
        head = bytes((_FIN | opcode, _MASKED | _EIGHT_BYTES)) + size.to_bytes(8, "big")
    return head + mask + _masked(payload, mask)


def encode_close(code: int, mask: bytes) -> bytes:
    """Return a closing frame."""
    return encode_frame(CLOSE, b"" if code == NO_STATUS else code.to_bytes(_CODE_BYTES, "big"), mask)


class Received:
    """What some bytes brought: pieces of the stream in order, and what came beside it.

    ``pieces`` are views of the bytes that were passed in. ``ping`` is the payload of the last ping, the one that wants
    an answer. ``close`` is the code of the closing frame.
    """

    __slots__ = ("close", "ended", "pieces", "ping")

    def __init__(self) -> None:
        self.pieces: list[memoryview] = []
        self.ping: bytes | None = None
        self.ended = False
        self.close: int | None = None


class FrameReader:
    """Takes a server's frames apart, however their bytes are cut. Holds a head or a control frame, never a message.

    Args:
        limit: bytes that a message may have.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = bytearray()
        self._control = bytearray()
        self._opcode = _CONTINUATION
        self._fin = True
        self._left = 0
        """Bytes that the payload of the frame under way still lacks."""
        self._message: int | None = None
        """Bytes that the message under way has, with what its frames announced; None between messages."""
        self._ended = False
        self._closed = False

    def receive(self, data: bytes | bytearray | memoryview) -> Received:
        """Take the next bytes from the server. What follows a closing frame is left unread.

        Raises:
            WebSocketFaultError: they break the protocol. The reader is of no use afterwards.
        """
        view = memoryview(data)
        received = Received()
        position = 0
        while position < len(view) and not self._closed:
            if self._left:
                piece = view[position : position + self._left]
                position += len(piece)
                self._take(piece, received)
            else:
                self._head.append(view[position])
                position += 1
                self._parse_head(received)
        return received

    def _parse_head(self, received: Received) -> None:
        head = self._head
        if len(head) == 1:
            self._check_opcode(head[0])
            return
        if head[1] & _MASKED:
            raise WebSocketFaultError("a server's frame is masked")
        length = head[1] & _LENGTH
        more = _LENGTH_BYTES.get(length, 0)
        if self._opcode >= CLOSE and length > MAX_CONTROL_BYTES:
            raise WebSocketFaultError("a control frame is too long")
        if len(head) < 2 + more:
            return
        if more:
            least, length = _LEAST[length], int.from_bytes(head[2:], "big")
            if length < least:
                raise WebSocketFaultError("a length is not in its shortest form")
        head.clear()
        self._begin(length, received)

    def _check_opcode(self, first: int) -> None:
        self._opcode = opcode = first & _OPCODE
        self._fin = bool(first & _FIN)
        if first & _RESERVED_BITS:
            raise WebSocketFaultError("a frame uses an extension that was not agreed on")
        if opcode in (CLOSE, PING, PONG):
            if not self._fin:
                raise WebSocketFaultError("a control frame is in fragments")
        elif opcode == _TEXT:
            raise WebSocketFaultError("a text message", UNSUPPORTED)
        elif opcode not in (BINARY, _CONTINUATION):
            raise WebSocketFaultError("a frame has an unknown opcode")
        elif (opcode == _CONTINUATION) != (self._message is not None):
            raise WebSocketFaultError("a fragment does not follow its message")
        elif self._ended:
            raise WebSocketFaultError("a message follows the end of the stream")

    def _begin(self, length: int, received: Received) -> None:
        if self._opcode < CLOSE:
            self._message = (self._message or 0) + length
            if self._message > self._limit:
                raise WebSocketFaultError("a message is too long", TOO_LONG)
        self._left = length
        if not length:
            self._finish_frame(received)

    def _take(self, piece: memoryview, received: Received) -> None:
        self._left -= len(piece)
        if self._opcode < CLOSE:
            received.pieces.append(piece)
        else:
            self._control += piece
        if not self._left:
            self._finish_frame(received)

    def _finish_frame(self, received: Received) -> None:
        if self._opcode < CLOSE:
            if self._fin:
                self._ended = received.ended = not self._message
                self._message = None
            return
        payload = bytes(self._control)
        self._control.clear()
        if self._opcode == PING:
            received.ping = payload
        elif self._opcode == CLOSE:
            received.close = _close_code(payload)
            self._closed = True


def _close_code(payload: bytes) -> int:
    if not payload:
        return NO_STATUS
    code = int.from_bytes(payload[:_CODE_BYTES], "big")
    if len(payload) < _CODE_BYTES or not _LEAST_CODE <= code <= _GREATEST_CODE or code in _RESERVED_CODES:
        raise WebSocketFaultError("a closing frame has no status code that may be sent")
    return code


def _masked(payload: bytes | memoryview, mask: bytes) -> bytes:
    """Return the payload XOR the repeated mask, as three passes over long integers instead of a loop over bytes."""
    size = len(payload)
    repeated = (mask * (size // MASK_BYTES + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")


def _key(nonce: bytes) -> bytes:
    return b2a_base64(nonce, newline=False)


def _has_upgrade(values: list[bytes]) -> bool:
    return any(token.strip().lower() == b"upgrade" for value in values for token in value.split(b","))
