"""The WebSocket codec: round trips, every cut of the input, garbage, limits, and the faults of a server."""

import hashlib
from base64 import b64encode
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.client.websocket_frames import (
    BINARY,
    CLOSE,
    NO_STATUS,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TOO_LONG,
    UNSUPPORTED,
    FrameReader,
    UpgradeRefusedError,
    WebSocketFaultError,
    accept_value,
    check_upgrade,
    encode_close,
    encode_frame,
    upgrade_request,
)
from unit.client.websocket_peer import CONTINUATION, TEXT, client_frame_parts, server_frame

LIMIT = 1000
NONCE = b"the sample nonce"
MASK = b"\x01\x80\xff\x37"


def read(reader: FrameReader, *chunks: bytes) -> dict[str, Any]:
    """Feed chunks, and return all that they brought."""
    brought: dict[str, Any] = {"stream": b"", "pings": [], "ended": False, "close": None}
    for chunk in chunks:
        received = reader.receive(chunk)
        brought["stream"] += b"".join(received.pieces)
        brought["ended"] |= received.ended
        if received.ping is not None:
            brought["pings"].append(received.ping)
        brought["close"] = received.close if brought["close"] is None else brought["close"]
    return brought


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut data at some places."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, bytes, list[bytes]]:
    """A server's frames, the stream that they carry, and the pings between them."""
    wire, stream, pings = b"", b"", []
    for payload in draw(st.lists(st.binary(min_size=1, max_size=300), max_size=6)):
        fragments = cut(payload, draw(st.lists(st.integers(0, 300), max_size=3)))
        for index, fragment in enumerate(fragments):
            if draw(st.booleans()):
                pings.append(draw(st.binary(max_size=125)))
                wire += server_frame(PING, pings[-1]) + server_frame(PONG, b"unasked")
            opcode = CONTINUATION if index else BINARY
            wire += server_frame(opcode, fragment, fin=index == len(fragments) - 1)
        stream += payload
    return wire, stream, pings


@given(conversations(), st.lists(st.integers(0, 5000), max_size=20))
def test_stream_comes_whole_however_it_is_cut(
    conversation: tuple[bytes, bytes, list[bytes]], places: list[int]
) -> None:
    """Messages, their fragments and the cuts of the connection mean nothing: the bytes come in order, once."""
    wire, stream, pings = conversation
    end = server_frame(BINARY) + server_frame(CLOSE, (1000).to_bytes(2, "big") + b"bye") + b"never read"
    brought = read(FrameReader(LIMIT), *cut(wire + end, places))
    assert (brought["stream"], brought["ended"], brought["close"]) == (stream, True, 1000)
    assert set(brought["pings"]) <= set(pings)
    assert brought["pings"][-1:] == pings[-1:]


def test_every_cut() -> None:
    """Wherever two reads part the frames of all kinds, with lengths of all three forms, the result is the same."""
    wire = b"".join((
        server_frame(BINARY, b"a", fin=False),
        server_frame(PING, b"are you there"),
        server_frame(CONTINUATION, b"b" * 126),
        server_frame(BINARY, b"c" * 65536),
        server_frame(PONG),
        server_frame(BINARY),
        server_frame(CLOSE, b"\x03\xe8"),
    ))  # fmt: skip
    expected = {
        "stream": b"a" + b"b" * 126 + b"c" * 65536,
        "pings": [b"are you there"],
        "ended": True,
        "close": 1000,
    }
    interesting = [*range(200), *range(len(wire) - 40, len(wire) + 1)]
    for place in interesting:
        assert read(FrameReader(70000), wire[:place], wire[place:]) == expected
    assert read(FrameReader(70000), *(wire[place : place + 1] for place in range(len(wire)))) == expected


@given(st.binary(max_size=400), st.binary(min_size=4, max_size=4), st.sampled_from([BINARY, PONG, CLOSE]))
def test_frames_of_the_client(payload: bytes, mask: bytes, opcode: int) -> None:
    """What is sent can be read by the words of the RFC, whatever payload and mask."""
    assert client_frame_parts(encode_frame(opcode, payload, mask)) == (opcode, payload)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 126, 127, 65535, 65536, 65537])
def test_lengths_of_the_client(size: int) -> None:
    """Each form of the length is used where it is the shortest, and a view is as good as bytes."""
    payload = bytes(index * 7 % 256 for index in range(size))
    assert client_frame_parts(encode_frame(BINARY, memoryview(payload), MASK)) == (BINARY, payload)


@pytest.mark.parametrize(("code", "payload"), [(1000, b"\x03\xe8"), (1009, b"\x03\xf1"), (NO_STATUS, b"")])
def test_closing_frames(code: int, payload: bytes) -> None:
    """A closing frame carries its code, and none for the code that is never sent; it is read back the same."""
    assert client_frame_parts(encode_close(code, MASK)) == (CLOSE, payload)
    assert read(FrameReader(LIMIT), server_frame(CLOSE, payload))["close"] == code


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A server's frames, one byte of which has changed."""
    wire = bytearray(draw(conversations())[0] or b"?")
    wire[draw(st.integers(0, len(wire) - 1))] = draw(st.integers(0, 255))
    return bytes(wire)


@given(st.binary(max_size=200) | damaged(), st.lists(st.integers(0, 5000), max_size=8))
def test_garbage(wire: bytes, places: list[int]) -> None:
    """Whatever comes is read or is the peer's fault; what is held between two reads stays small."""
    chunks = cut(wire, places)
    reader = FrameReader(LIMIT)
    with suppress(WebSocketFaultError):
        for chunk in chunks:
            received = reader.receive(chunk)
            assert sum(map(len, received.pieces)) <= len(chunk)
            assert len(reader._head) + len(reader._control) <= 2 + 8 + 125


FAULTS = {
    "text": (server_frame(TEXT, b"hello"), UNSUPPORTED),
    "text in fragments": (server_frame(TEXT, b"hello", fin=False), UNSUPPORTED),
    "extension": (server_frame(BINARY, b"x", reserved=0x40), PROTOCOL_ERROR),
    "extension on a control frame": (server_frame(PING, b"x", reserved=0x10), PROTOCOL_ERROR),
    "unknown data opcode": (server_frame(0x3, b"x"), PROTOCOL_ERROR),
    "unknown control opcode": (server_frame(0xB, b"x"), PROTOCOL_ERROR),
    # Read without its mask, this would be a ping, and then a frame that begins.
    "masked": (encode_frame(BINARY, bytes((0x61 ^ 0x82,)), b"\x61\x89\x01\x00"), PROTOCOL_ERROR),
    "masked and long": (encode_frame(BINARY, b"x" * 200, MASK), PROTOCOL_ERROR),
    "fragment of nothing": (server_frame(CONTINUATION, b"x"), PROTOCOL_ERROR),
    "message within a message": (server_frame(BINARY, b"x", fin=False) + server_frame(BINARY, b"y"), PROTOCOL_ERROR),
    "ping in fragments": (server_frame(PING, b"x", fin=False), PROTOCOL_ERROR),
    "ping of 126 bytes": (server_frame(PING, b"x" * 126), PROTOCOL_ERROR),
    "close of 126 bytes": (server_frame(CLOSE, b"\x03\xe8" + b"x" * 124), PROTOCOL_ERROR),
    "close with one byte": (server_frame(CLOSE, b"\x03"), PROTOCOL_ERROR),
    "close with 1005": (server_frame(CLOSE, b"\x03\xed"), PROTOCOL_ERROR),
    "close with 999": (server_frame(CLOSE, b"\x03\xe7"), PROTOCOL_ERROR),
    "close with 5000": (server_frame(CLOSE, b"\x13\x88"), PROTOCOL_ERROR),
    "length in two bytes that fits one": (b"\x82\x7e\x00\x7d" + b"x" * 125, PROTOCOL_ERROR),
    "length in eight bytes that fits two": (b"\x82\x7f" + (65535).to_bytes(8, "big"), PROTOCOL_ERROR),
    "too long": (server_frame(BINARY, b"x" * (LIMIT + 1)), TOO_LONG),
    "length of eight bytes": (b"\x82\x7f" + b"\xff" * 8, TOO_LONG),
    "too long in fragments": (
        server_frame(BINARY, b"x" * LIMIT, fin=False) + server_frame(CONTINUATION, b"y"),
        TOO_LONG,
    ),
    "data after the end": (server_frame(BINARY) + server_frame(BINARY, b"x"), PROTOCOL_ERROR),
    "second end": (server_frame(BINARY) + server_frame(BINARY), PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str) -> None:
    """Each fault of a server is refused with its code, in one piece or byte by byte."""
    wire, code = FAULTS[name]
    for chunks in ([wire], [wire[place : place + 1] for place in range(len(wire))]):
        with pytest.raises(WebSocketFaultError) as caught:
            read(FrameReader(LIMIT), *chunks)
        assert caught.value.code == code


def test_long_message_is_refused_before_it_comes() -> None:
    """The announced length is enough to refuse a message: not a byte of it is given out."""
    reader = FrameReader(LIMIT)
    with pytest.raises(WebSocketFaultError, match="too long"):
        reader.receive(b"\x82\x7e" + (LIMIT + 1).to_bytes(2, "big"))


def test_message_of_empty_fragments_is_the_end() -> None:
    """A message without a byte is the end, also in fragments; an empty fragment of a message is nothing."""
    reader = FrameReader(LIMIT)
    start = server_frame(BINARY, b"", fin=False) + server_frame(CONTINUATION, b"x", fin=False)
    assert read(reader, start + server_frame(CONTINUATION))["ended"] is False
    assert read(reader, server_frame(BINARY, b"", fin=False))["ended"] is False
    assert read(reader, server_frame(CONTINUATION))["ended"] is True


def test_request() -> None:
    """The request is the one of RFC 6455, section 1.3, without a subprotocol."""
    assert upgrade_request("[::1]:8443", "/relay", NONCE) == (
        b"GET /relay HTTP/1.1\r\nHost: [::1]:8443\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )


PROOF = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The RFC's own example of a proof, for ``NONCE``."""


def answer(*lines: str, accept: str = PROOF.decode()) -> bytes:
    """Return the head of an answer; by default one that proves itself."""
    head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    return "\r\n".join([*head, f"Sec-WebSocket-Accept: {accept}", *lines]).encode()


@pytest.mark.parametrize(
    "head",
    [
        answer(),
        answer("Server: x", "Strict-Transport-Security: max-age=1"),
        b"HTTP/1.1 101\r\nupgrade:WebSocket\r\nCONNECTION: a, upgrade\r\n" + b"sec-websocket-accept:  " + PROOF,
    ],
)
def test_upgrade(head: bytes) -> None:
    """An answer that proves to be the one to our request is taken, however its fields are written."""
    check_upgrade(head, NONCE)


@given(st.binary(min_size=16, max_size=16))
def test_accept(nonce: bytes) -> None:
    """The proof is the hash of RFC 6455, section 4.2.2."""
    key = b64encode(nonce) + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    assert accept_value(nonce) == b64encode(hashlib.sha1(key, usedforsecurity=False).digest())


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"SSH-2.0-x",
        b"HTTP/1.0 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade",
        b"HTTP/1.1 1010 x",
        b"HTTP/1.1 abc",
        answer().replace(b"websocket", b"h2c"),
        answer().replace(b"Connection: Upgrade", b"Connection: close"),
        answer().replace(b"Connection: Upgrade", b"X: y"),
        answer(accept="s3pPLMBiTxaQ9kYGzzhZRbK+xOp="),
        answer(accept=""),
        answer("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        answer("Sec-WebSocket-Extensions: permessage-deflate"),
        answer("Sec-WebSocket-Protocol: chat"),
    ],
)
def test_no_upgrade(head: bytes) -> None:
    """Any other answer is no WebSocket."""
    with pytest.raises(WebSocketFaultError) as caught:
        check_upgrade(head, NONCE)
    assert type(caught.value) is WebSocketFaultError


@pytest.mark.parametrize("status", [200, 403, 404, 503])
def test_upgrade_refused(status: int) -> None:
    """Another status of HTTP is told as such."""
    with pytest.raises(UpgradeRefusedError, match=f"HTTP status {status}"):
        check_upgrade(f"HTTP/1.1 {status} Words\r\nContent-Length: 0".encode(), NONCE)


@given(st.binary(max_size=200))
def test_garbage_for_an_answer(head: bytes) -> None:
    """Garbage is the peer's fault, never a traceback."""
    with pytest.raises(WebSocketFaultError):
        check_upgrade(head, NONCE)
