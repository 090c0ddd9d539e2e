"""The relay's stream through WebSockets, with a real relay behind them and real TLS before them."""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from latchstring.controller.addresses import Address
from latchstring.controller.api.application import set_headers
from latchstring.controller.api.problems import answer_problems
from latchstring.controller.https.admission import AdmissionLimits
from latchstring.controller.https.listener import ListenerLimits, bind
from latchstring.controller.https.site import TlsSite
from latchstring.controller.relay import RelayLimits
from latchstring.controller.relay_websockets import RelayWebSockets
from latchstring.protocol.dial import Role, Status
from latchstring.protocol.relay_websocket import RELAY_PATH
from relay_parties import SESSION, RelayUnderTest, on_both_loops, preamble_of, running_relay, status
from tls_identities import Identities

SECONDS = 10


@dataclass
class Entrance:
    """A listener that carries WebSockets to a relay."""

    relay: RelayUnderTest
    websockets: RelayWebSockets
    client: aiohttp.ClientSession
    url: str

    async def say(self, first_bytes: bytes) -> aiohttp.ClientWebSocketResponse:
        """Return a WebSocket over which these bytes were sent."""
        websocket = await self.client.ws_connect(f"{self.url}{RELAY_PATH}", max_msg_size=2**20)
        await websocket.send_bytes(first_bytes)
        return websocket


@contextlib.asynccontextmanager
async def entrance(
    root: Path, *, relay_limits: RelayLimits | None = None, limits: AdmissionLimits | None = None
) -> AsyncIterator[Entrance]:
    """Run it."""
    identities = Identities.create(root)
    async with running_relay(relay_limits) as relay:
        websockets = RelayWebSockets(
            relay.relay, monotonic=time.monotonic, limits=limits or AdmissionLimits(total=20, per_source=10)
        )
        application = web.Application(middlewares=[answer_problems])
        application.on_response_prepare.append(set_headers)
        application.router.add_get(RELAY_PATH, websockets.handle)
        listener = bind(Address("127.0.0.1", 0))
        listening = ListenerLimits(connections=AdmissionLimits(total=100, per_source=100))
        site = TlsSite(application, listener, identities.server(), listening)
        await site.start()
        connector = aiohttp.TCPConnector(ssl=identities.person())
        async with aiohttp.ClientSession(connector=connector) as client:
            yield Entrance(relay, websockets, client, f"https://127.0.0.1:{listener.getsockname()[1]}")
        await websockets.close()
        await site.close()


async def hear(websocket: aiohttp.ClientWebSocketResponse, count: int) -> bytes:
    """Return the next ``count`` bytes of the stream."""
    received = b""
    while len(received) < count:
        message = await asyncio.wait_for(websocket.receive(), SECONDS)
        assert message.type is WSMsgType.BINARY, message
        received += message.data
    return received


async def hear_the_end(websocket: aiohttp.ClientWebSocketResponse) -> bytes:
    """Return what else comes until the WebSocket is closed."""
    received = b""
    while (message := await asyncio.wait_for(websocket.receive(), SECONDS)).type is WSMsgType.BINARY:
        received += message.data
    return received


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Let each test look at what was logged."""
    caplog.set_level(logging.INFO)


@on_both_loops
async def test_one_side_raw(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A WebSocket is paired with a TCP connection; bytes are counted, ends kept, and the close is in order."""
    async with entrance(tmp_path) as here:
        dial = here.relay.relay.issue(SESSION)
        websocket = await here.say(preamble_of(dial, Role.ENGINEER))
        raw = await here.relay.present(dial, Role.ENDPOINT)
        assert await hear(websocket, 1) == Status.PAIRED.wire
        assert await status(raw) is Status.PAIRED
        loop = asyncio.get_running_loop()
        sent = os.urandom(1_000_000)
        sending = asyncio.create_task(loop.sock_sendall(raw, sent))
        assert await hear(websocket, len(sent)) == sent
        await sending
        await websocket.send_bytes(b"from the engineer")
        await websocket.send_bytes(b"")
        received = b""
        while piece := await loop.sock_recv(raw, 99):
            received += piece
        assert received == b"from the engineer"
        raw.shutdown(socket.SHUT_WR)
        assert await hear_the_end(websocket) == b""
        assert websocket.close_code == aiohttp.WSCloseCode.OK
        assert await here.relay.closings.next() == (SESSION, dial.dial_id, len(received), len(sent))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@on_both_loops
async def test_a_cut_is_a_reset(tmp_path: Path) -> None:
    """When the session is cut the connection breaks at once, with megabytes for a slow reader still under way."""
    async with entrance(tmp_path) as here:
        dial = here.relay.relay.issue(SESSION)
        websocket = await here.say(preamble_of(dial, Role.ENGINEER))
        raw = await here.relay.present(dial, Role.ENDPOINT)
        assert await hear(websocket, 1) == Status.PAIRED.wire
        await status(raw)
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(raw, bytes(100_000_000)))
        await asyncio.wait({sending}, timeout=0.3)
        assert not sending.done()
        here.relay.relay.cut(SESSION)
        with pytest.raises(OSError, match=r"reset|pipe"):
            await asyncio.wait_for(sending, SECONDS)
        assert len(await hear_the_end(websocket)) < 50_000_000
        assert websocket.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE


@pytest.mark.parametrize("garbage", [b"SSH-2.0-OpenSSH_9.2\r\n", bytes(200), b"GET / HTTP/1.1\r\n\r\n"])
async def test_garbage(tmp_path: Path, garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """What is no preamble gets the relay's refusal, and is closed; nothing of it is an error of ours."""
    async with entrance(tmp_path) as here:
        websocket = await here.say(garbage)
        assert await hear_the_end(websocket) == Status.REFUSED.wire
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_ticket_is_used_once(tmp_path: Path) -> None:
    """A preamble that was shown already, raw or here, admits nobody."""
    async with entrance(tmp_path) as here:
        dial = here.relay.relay.issue(SESSION)
        first = await here.relay.present(dial, Role.ENGINEER)
        websocket = await here.say(preamble_of(dial, Role.ENGINEER))
        assert await hear_the_end(websocket) == Status.REFUSED.wire
        first.close()


async def test_silence(tmp_path: Path) -> None:
    """Who says nothing, or whose other side does not come, is let go when the relay's time is up."""
    async with entrance(tmp_path, relay_limits=RelayLimits(answer_seconds=0.3)) as here:
        silent = await here.say(b"")
        dial = here.relay.relay.issue(SESSION)
        alone = await here.say(preamble_of(dial, Role.ENGINEER))
        assert await hear_the_end(alone) == Status.TIMED_OUT.wire
        await hear_the_end(silent)


async def test_a_peer_that_vanishes(tmp_path: Path) -> None:
    """A connection that breaks ends the pair, and its place is free again."""
    async with entrance(tmp_path, limits=AdmissionLimits(total=1, per_source=1)) as here:
        dial = here.relay.relay.issue(SESSION)
        websocket = await here.say(preamble_of(dial, Role.ENGINEER))
        raw = await here.relay.present(dial, Role.ENDPOINT)
        assert await hear(websocket, 1) == Status.PAIRED.wire
        await status(raw)
        assert websocket._response.connection is not None
        assert websocket._response.connection.transport is not None
        websocket._response.connection.transport.abort()
        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(raw, 1), SECONDS) == b""
        raw.close()
        await here.relay.closings.next()
        again = await here.say(b"garbage" * 20)
        assert await hear_the_end(again) == Status.REFUSED.wire


async def test_too_many(tmp_path: Path) -> None:
    """Beyond the share of a source no WebSocket is opened, and that is counted."""
    async with entrance(tmp_path, limits=AdmissionLimits(total=9, per_source=2)) as here:
        held = [await here.client.ws_connect(f"{here.url}{RELAY_PATH}") for _ in range(2)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await here.client.ws_connect(f"{here.url}{RELAY_PATH}")
        assert caught.value.status == 503
        assert here.websockets.counters == {"accepted": 2, "refused": 1}
        for websocket in held:
            await websocket.close()


async def test_what_is_no_websocket(tmp_path: Path) -> None:
    """A plain request gets a problem that says so."""
    async with entrance(tmp_path) as here, here.client.get(f"{here.url}{RELAY_PATH}") as answer:
        assert answer.status == 422
        assert (await answer.json(content_type=None))["code"] == "bad_request"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
