"""The connection to the controller, against a real WebSocket on mutually authenticated TLS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from endpoint_parts import FakeClock, House, make_house, make_offer, session_id
from enrolling_controller import ENDPOINT_ID, EnrollingController, enrolling_controller
from eventually import eventually
from latchstring.certs.x509_verify import verify_endpoint_certificate
from latchstring.endpoint.backoff import Backoff
from latchstring.endpoint.clock import SystemClock
from latchstring.endpoint.control_channel import ControlChannel
from latchstring.endpoint.data_directory import DataDirectory, open_directory
from latchstring.endpoint.enrol import enrol
from latchstring.endpoint.identity import load_identity
from latchstring.endpoint.renewal import Renewal
from latchstring.protocol.access import AccessMode
from latchstring.protocol.events import AgentStopped
from latchstring.protocol.messages import (
    CONTROL_PATH,
    Acknowledged,
    CertificateRenewed,
    DialFailed,
    DialFailure,
    EndSession,
    FromController,
    FromEndpoint,
    Goodbye,
    GoodbyeCode,
    Hello,
    Offer,
    RenewCertificate,
    Report,
    Welcome,
    decode_from_endpoint,
    encode_message,
)
from latchstring.protocol.times import format_time


@dataclass
class User:
    """Notes what it is told."""

    told: list[Any] = field(default_factory=list)

    def hello(self) -> Hello:
        """Introduce."""
        return Hello(
            versions=(1,), agent_version="1", time=format_time(datetime.now(UTC)), access=AccessMode.ASK, journal_size=0
        )

    def has_live_sessions(self) -> bool:
        """Nobody is working."""
        return False

    def welcomed(self) -> None:
        """Note it."""
        self.told.append("welcomed")

    def lost(self) -> None:
        """Note it."""
        self.told.append("lost")

    def revoked(self) -> None:
        """Note it."""
        self.told.append("revoked")

    def receive(self, message: Any) -> None:
        """Note it."""
        self.told.append(message)


class Tunnel:
    """The controller's end: each connection is handed to the test."""

    def __init__(self) -> None:
        self.sockets: asyncio.Queue[web.WebSocketResponse] = asyncio.Queue()
        self.closing = asyncio.Event()
        self.connections = 0

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Take a connection, and keep it until it is closed."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self.sockets.put_nowait(socket)
        await self.closing.wait()
        return socket

    async def greet(self, acknowledged: int = 0, **changes: Any) -> web.WebSocketResponse:
        """Welcome the next connection."""
        socket = await asyncio.wait_for(self.sockets.get(), 10)
        assert isinstance(await self.hear(socket), Hello)
        time = format_time(datetime.now(UTC) - timedelta(hours=1))
        fields = {"version": 1, "time": time, "endpoint_id": ENDPOINT_ID, "acknowledged": acknowledged}
        await self.say(socket, Welcome.model_validate({**fields, **changes}))
        return socket

    async def say(self, socket: web.WebSocketResponse, message: FromController) -> None:
        """Send a message."""
        await socket.send_str(encode_message(message))

    async def hear(self, socket: web.WebSocketResponse) -> FromEndpoint:
        """Receive a message."""
        return decode_from_endpoint(await asyncio.wait_for(socket.receive_str(), 10))


@dataclass
class Parts:
    """Both ends."""

    tunnel: Tunnel
    channel: ControlChannel
    user: User
    house: House
    controller: EnrollingController
    directory: DataDirectory
    clock: FakeClock | SystemClock


@asynccontextmanager
async def tunnel_of(controller: EnrollingController) -> AsyncIterator[Tunnel]:
    """Listen for endpoints."""
    tunnel = Tunnel()
    application = web.Application()
    application.router.add_get(CONTROL_PATH, tunnel.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=controller.identities.server(clients=True))
    await site.start()
    assert site._server is not None
    controller.tunnel_port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # it has sockets
    try:
        yield tunnel
    finally:
        tunnel.closing.set()
        await runner.cleanup()


class LaterClock(SystemClock):
    """A clock that can be set forward."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        """Return the time, set forward."""
        return super().now() + self.ahead


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    """A channel that runs, and the tunnel that it connects to."""
    async with (
        enrolling_controller(tmp_path / "controller") as controller,
        tunnel_of(controller) as tunnel,
        make_house(tmp_path / "house") as house,
    ):
        await enrol(controller.code, tmp_path / "endpoint", clock=SystemClock())
        directory = open_directory(tmp_path / "endpoint")
        identity, user, clock = load_identity(directory), User(), LaterClock()
        channel = ControlChannel(
            identity,
            journal=house.journal,
            renewal=Renewal(directory, identity, clock),
            user=user,
            clock=clock,
            backoff=Backoff(lambda: 0.0),
            find_proxy=lambda _: None,
        )
        task = asyncio.create_task(channel.run())
        yield Parts(tunnel, channel, user, house, controller, directory, clock)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_welcome_tells_the_skew(parts: Parts) -> None:
    """After the welcome the channel stands, and how far the clocks are apart is known."""
    await parts.tunnel.greet()
    await eventually(lambda: parts.channel.connected, "the welcome")
    assert parts.user.told == ["welcomed"]
    assert parts.channel.skew_seconds == pytest.approx(3600, abs=30)


async def test_reports_start_where_the_controller_left_off(parts: Parts) -> None:
    """What the controller has is not repeated, what it lacks is sent in order, and its word is kept."""
    for _ in range(3):
        await parts.house.journal.append(AgentStopped())
    socket = await parts.tunnel.greet(acknowledged=1)
    first, second = await parts.tunnel.hear(socket), await parts.tunnel.hear(socket)
    assert isinstance(first, Report)
    assert isinstance(second, Report)
    await parts.tunnel.say(socket, Acknowledged(next_sequence=3))
    await parts.house.journal.wait_acknowledged()
    await socket.close()
    again = await parts.tunnel.greet(acknowledged=2)
    assert await parts.tunnel.hear(again) == second


async def test_messages_are_handed_on_in_order(parts: Parts) -> None:
    """What the controller wants reaches the agent, and what the agent says reaches the controller."""
    socket = await parts.tunnel.greet()
    offer, end = Offer(offer=make_offer()), EndSession(session_id=session_id(), reason="controller_forgot")
    await parts.tunnel.say(socket, offer)
    await parts.tunnel.say(socket, end)
    await eventually(lambda: len(parts.user.told) == 3, "the messages")
    assert parts.user.told == ["welcomed", offer, end]
    failed = DialFailed(session_id=session_id(), dial_id="dia-" + "a" * 16, failure=DialFailure.NOT_LIVE)
    await parts.channel.send(failed)
    assert await parts.tunnel.hear(socket) == failed


@pytest.mark.parametrize(
    "frame",
    [
        "nonsense",
        b"\x00\x01",
        '{"type":"rule_the_world"}',
        "x" * 70_000,
        encode_message(Acknowledged(next_sequence=1)),
        encode_message(Welcome(version=1, time="2026-11-25T00:00:00.000Z", endpoint_id=ENDPOINT_ID, acknowledged=0)),
    ],
)
async def test_nonsense_ends_the_connection_and_nothing_else(parts: Parts, frame: str | bytes) -> None:
    """A controller that says what it must not loses the connection, is reconnected, and causes no fault of ours."""
    socket = await parts.tunnel.greet()
    if isinstance(frame, bytes):
        await socket.send_bytes(frame)
    else:
        await socket.send_str(frame)
    await parts.tunnel.greet()
    await eventually(lambda: parts.channel.connected, "the second welcome")
    assert parts.user.told == ["welcomed", "lost", "welcomed"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"endpoint_id": "ept-" + "b" * 16}, "another endpoint"),
        ({"version": 2}, "another version"),
        ({"acknowledged": 1}, "backup"),
    ],
)
async def test_welcomes_that_cannot_be(parts: Parts, changes: dict[str, Any], words: str) -> None:
    """A welcome for somebody else, or of a journal that we do not have, is none."""
    await parts.tunnel.greet(**changes)
    await eventually(lambda: words in parts.channel.last_failure, words)
    assert parts.user.told == []


async def test_revoked(parts: Parts) -> None:
    """A revoked endpoint is told so once, and comes back no earlier than it may."""
    socket = await parts.tunnel.greet()
    await parts.tunnel.say(socket, Goodbye(code=GoodbyeCode.REVOKED, retry_after_seconds=3600))
    await eventually(lambda: not parts.channel.connected, "the end")
    await eventually(lambda: "revoked" in parts.channel.last_failure, "the reason")
    assert parts.user.told == ["welcomed", "revoked", "lost"]
    assert parts.tunnel.connections == 1


async def test_a_flood_of_messages_ends_the_connection(parts: Parts) -> None:
    """A controller that asks more often than any does is cut off."""
    socket = await parts.tunnel.greet()
    end = EndSession(session_id=session_id(), reason="controller_forgot")
    for _ in range(1000):
        if socket.closed:
            break
        await parts.tunnel.say(socket, end)
    await eventually(lambda: "too often" in parts.channel.last_failure, "the cut")
    assert len(parts.user.told) < 600


async def test_renewal(tmp_path: Path, parts: Parts) -> None:
    """After two thirds of its life the certificate is renewed with a new key, and the next connection uses it."""
    del tmp_path
    assert isinstance(parts.clock, LaterClock)
    before = parts.directory.tunnel.read_bytes()
    parts.clock.ahead = timedelta(days=61)
    socket = await parts.tunnel.greet()
    request = await parts.tunnel.hear(socket)
    assert isinstance(request, RenewCertificate)
    authority = parts.controller.identities.keys.x509
    issued = authority.issue_client(request.signing_request.encode(), ENDPOINT_ID, parts.clock.now())
    wrong = authority.issue_client(request.signing_request.encode(), "ept-" + "b" * 16, parts.clock.now())
    await parts.tunnel.say(socket, CertificateRenewed(certificate=wrong.public_bytes(Encoding.PEM).decode()))
    await parts.tunnel.say(socket, CertificateRenewed(certificate=issued.public_bytes(Encoding.PEM).decode()))
    await eventually(lambda: parts.directory.tunnel.read_bytes() != before, "the new certificate")
    verify_endpoint_certificate(issued, root=authority.root, now=parts.clock.now())
    assert issued.public_bytes(Encoding.PEM) in parts.directory.tunnel.read_bytes()
    assert not parts.directory.new_tunnel_key.exists()
    assert parts.directory.tunnel.stat().st_mode & 0o777 == 0o600
