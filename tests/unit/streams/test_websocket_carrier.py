"""Streams between two sockets, with real WebSockets of both libraries: the controller's and the endpoint's."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from latchstring.controller.relay_websocket_stream import AIOHTTP_LIMIT, AiohttpStream
from latchstring.endpoint.relay_websockets import WebSocketStream
from latchstring.protocol.relay_websocket import MAX_STREAM_MESSAGE_BYTES
from latchstring.streams import websocket_carrier
from latchstring.streams.carried_socket import CarriedSocket, reset_on_close
from latchstring.streams.websocket_carrier import StreamWebSocket, WebSocketCarrier
from relay_parties import on_both_loops

SECONDS = 10


@dataclass
class Line:
    """A server that carries each WebSocket that comes."""

    port: int
    carriers: "asyncio.Queue[tuple[WebSocketCarrier, asyncio.Task[None]]]"
    client: aiohttp.ClientSession

    async def connect(self) -> aiohttp.ClientWebSocketResponse:
        """Return a WebSocket to it, of which the test is the peer."""
        return await self.client.ws_connect(
            f"http://127.0.0.1:{self.port}/", autoping=False, max_msg_size=AIOHTTP_LIMIT
        )

    async def peer(self) -> tuple[aiohttp.ClientWebSocketResponse, CarriedSocket, "asyncio.Task[None]"]:
        """Return a WebSocket, and the socket and the task on the other side of it."""
        websocket = await self.connect()
        carrier, task = await asyncio.wait_for(self.carriers.get(), SECONDS)
        return websocket, carrier.held, task


LIBRARIES = ("aiohttp", "websockets")
Serve = Callable[[StreamWebSocket, Callable[[], None]], Awaitable[None]]


@contextlib.asynccontextmanager
async def carrying(library: str) -> AsyncIterator[Line]:
    """Run a server, whose WebSockets are those of ``library``."""
    carriers: asyncio.Queue[tuple[WebSocketCarrier, asyncio.Task[None]]] = asyncio.Queue()

    async def carry(websocket: StreamWebSocket, abort: Callable[[], None]) -> None:
        carrier = WebSocketCarrier(websocket, abort=abort, monotonic=time.monotonic, leave_seconds=0.5)
        task = asyncio.create_task(carrier.run())
        carriers.put_nowait((carrier, task))
        await asyncio.wait({task})

    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with (
            aiohttp.ClientSession() as client,
            (serving_aiohttp if library == "aiohttp" else serving_websockets)(listener, carry),
        ):
            yield Line(listener.getsockname()[1], carriers, client)


@contextlib.asynccontextmanager
async def serving_aiohttp(listener: socket.socket, carry: Serve) -> AsyncIterator[None]:
    """Serve as the controller does."""

    async def handle(request: web.Request) -> web.StreamResponse:
        websocket = web.WebSocketResponse(autoping=False, max_msg_size=AIOHTTP_LIMIT, timeout=0.5)
        await websocket.prepare(request)
        assert request.transport is not None
        await carry(AiohttpStream(websocket), request.transport.abort)
        return websocket

    application = web.Application()
    application.router.add_get("/", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    yield
    await runner.cleanup()


@contextlib.asynccontextmanager
async def serving_websockets(listener: socket.socket, carry: Serve) -> AsyncIterator[None]:
    """Serve with what the endpoint dials with."""

    async def handle(websocket: ServerConnection) -> None:
        stream = WebSocketStream(websocket)
        await carry(stream, stream.abort)

    async with serve(
        handle,
        sock=listener,
        compression=None,
        ping_interval=None,
        close_timeout=0.5,
        max_size=MAX_STREAM_MESSAGE_BYTES,
        max_queue=4,
        write_limit=65536,
    ):
        yield


async def read_all(connection: socket.socket) -> bytes:
    """Return all that comes until the end."""
    received = b""
    while piece := await asyncio.get_running_loop().sock_recv(connection, 65536):
        received += piece
    return received


async def hear_all(websocket: aiohttp.ClientWebSocketResponse) -> tuple[bytes, bool, int | None]:
    """Return all that is said, whether the stream ended, and how the WebSocket was closed."""
    received, ended = b"", False
    while True:
        message = await asyncio.wait_for(websocket.receive(), SECONDS)
        if message.type is WSMsgType.BINARY:
            received += message.data
            ended = ended or not message.data
        elif message.type is not WSMsgType.PING:
            return received, ended, websocket.close_code


@on_both_loops
async def test_two_carriers_make_one_line() -> None:
    """Megabytes go both ways at once, each direction ends by itself, and both carriers then end in order."""
    loop = asyncio.get_running_loop()
    async with carrying("aiohttp") as line:
        websocket = await connect(
            f"ws://127.0.0.1:{line.port}/", compression=None, ping_interval=None, max_size=MAX_STREAM_MESSAGE_BYTES
        )
        carrier, there_task = await asyncio.wait_for(line.carriers.get(), SECONDS)
        stream = WebSocketStream(websocket)
        here_carrier = WebSocketCarrier(stream, abort=stream.abort, monotonic=time.monotonic, leave_seconds=0.5)
        here, here_task = here_carrier.held, asyncio.create_task(here_carrier.run())
        there = carrier.held
        sent = {here: os.urandom(3_000_001), there: os.urandom(2_000_003)}

        async def send(connection: CarriedSocket) -> None:
            await loop.sock_sendall(connection, sent[connection])
            connection.shutdown(socket.SHUT_WR)

        *_, at_there, at_here = await asyncio.wait_for(
            asyncio.gather(send(here), send(there), read_all(there), read_all(here)), SECONDS
        )
        assert (at_there, at_here) == (sent[here], sent[there])
        for connection in sent:
            connection.close()
        await asyncio.wait_for(asyncio.gather(here_task, there_task), SECONDS)


@on_both_loops
@pytest.mark.parametrize("library", LIBRARIES)
async def test_an_end_leaves_the_other_direction_open(library: str) -> None:
    """After the peer's end its stream is ended here and the answer still goes out, with its own end."""
    loop = asyncio.get_running_loop()
    async with carrying(library) as line:
        websocket, held, task = await line.peer()
        await websocket.send_bytes(b"question")
        await websocket.send_bytes(b"")
        assert await asyncio.wait_for(read_all(held), SECONDS) == b"question"
        await loop.sock_sendall(held, b"answer")
        held.close()
        assert await hear_all(websocket) == (b"answer", True, aiohttp.WSCloseCode.OK)
        await asyncio.wait_for(task, SECONDS)


@on_both_loops
@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_holder_who_is_gone_gives_the_peer_a_little_time(library: str) -> None:
    """After a close for good the peer hears the end; one that goes on is left after a while."""
    async with carrying(library) as line:
        websocket, held, task = await line.peer()
        held.close()
        await websocket.send_bytes(b"anybody there?")
        assert await hear_all(websocket) == (b"", True, aiohttp.WSCloseCode.OK)
        await asyncio.wait_for(task, SECONDS)


@on_both_loops
@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_reset_throws_away_what_is_buffered(library: str) -> None:
    """With megabytes under way to a peer that does not read, a reset ends the connection without them."""
    loop = asyncio.get_running_loop()
    async with carrying(library) as line:
        websocket, held, task = await line.peer()
        sending = asyncio.create_task(loop.sock_sendall(held, bytes(50_000_000)))
        await asyncio.wait({sending}, timeout=0.5)
        assert not sending.done()  # held back, since nobody reads
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        reset_on_close(held)
        held.close()
        await asyncio.wait_for(task, SECONDS)
        received, ended, code = await hear_all(websocket)
        assert not ended
        assert len(received) < 50_000_000
        assert code != aiohttp.WSCloseCode.OK


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("text", aiohttp.WSCloseCode.UNSUPPORTED_DATA),
        ("after the end", aiohttp.WSCloseCode.UNSUPPORTED_DATA),
        ("too long", aiohttp.WSCloseCode.MESSAGE_TOO_BIG),
    ],
)
@pytest.mark.parametrize("library", LIBRARIES)
async def test_what_the_protocol_does_not_allow(library: str, kind: str, code: int) -> None:
    """A text, bytes after the end, and a message beyond the limit each close the WebSocket and the stream."""
    async with carrying(library) as line:
        websocket, held, task = await line.peer()
        match kind:
            case "text":
                await websocket.send_str("hello")
            case "after the end":
                await websocket.send_bytes(b"")
                await websocket.send_bytes(b"more")
            case _:
                await websocket.send_bytes(bytes(MAX_STREAM_MESSAGE_BYTES + 1))
        assert (await hear_all(websocket))[2] == code
        await asyncio.wait_for(task, SECONDS)
        assert await asyncio.wait_for(read_all(held), SECONDS) == b""
        held.close()


@pytest.mark.parametrize("library", LIBRARIES)
async def test_the_longest_message_passes(library: str) -> None:
    """A message of exactly the limit is taken."""
    async with carrying(library) as line:
        websocket, held, task = await line.peer()
        await websocket.send_bytes(bytes(MAX_STREAM_MESSAGE_BYTES))
        await websocket.send_bytes(b"")
        assert len(await asyncio.wait_for(read_all(held), SECONDS)) == MAX_STREAM_MESSAGE_BYTES
        held.close()
        await hear_all(websocket)
        await asyncio.wait_for(task, SECONDS)


@pytest.mark.parametrize("library", LIBRARIES)
async def test_life_signs(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pings go out and come back; a peer that says nothing for too long is left, also if it only reads."""
    monkeypatch.setattr(websocket_carrier, "PING_SECONDS", 0.05)
    monkeypatch.setattr(websocket_carrier, "SILENCE_SECONDS", 0.5)
    async with carrying(library) as line:
        websocket, held, task = await line.peer()
        await websocket.ping(b"are you there?")
        kinds: set[WSMsgType] = set()
        while {WSMsgType.PING, WSMsgType.PONG} - kinds:
            message = await asyncio.wait_for(websocket.receive(), SECONDS)
            kinds.add(message.type)
        assert await hear_all(websocket) == (b"", False, aiohttp.WSCloseCode.OK)
        await asyncio.wait_for(task, SECONDS)
        held.close()


@on_both_loops
@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_connection_that_breaks_ends_the_stream(library: str) -> None:
    """When the peer's connection breaks, the holder sees the end, and nothing is raised."""
    async with carrying(library) as line:
        websocket, held, task = await line.peer()
        await websocket.send_bytes(b"so far")
        assert await asyncio.get_running_loop().sock_recv(held, 99) == b"so far"
        assert websocket._response.connection is not None
        assert websocket._response.connection.transport is not None
        websocket._response.connection.transport.abort()
        await asyncio.wait_for(task, SECONDS)
        assert await asyncio.wait_for(read_all(held), SECONDS) == b""
        held.close()
