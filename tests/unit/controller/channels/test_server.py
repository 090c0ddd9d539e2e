"""Tests of control channels over real mutually authenticated TLS, with scripted services."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from eventually import eventually
from http_clients import http_client
from latchstring.certs.errors import CertificateRequestError
from latchstring.controller.addresses import Address
from latchstring.controller.channels import channel as channel_module
from latchstring.controller.channels import server as server_module
from latchstring.controller.channels.hub import ChannelHub
from latchstring.controller.channels.server import ChannelServer
from latchstring.controller.clock import SystemClock
from latchstring.controller.errors import HelloRefusedError, ReportGapError, StoreUnavailableError
from latchstring.controller.https.admission import AdmissionLimits
from latchstring.controller.https.listener import ListenerLimits, bind
from latchstring.controller.https.site import TlsSite
from latchstring.controller.keyed_rates import KeyedRates
from latchstring.protocol.access import AccessMode
from latchstring.protocol.endings import Reason
from latchstring.protocol.messages import (
    CONTROL_PATH,
    MAX_MESSAGE_BYTES,
    DialFailed,
    DialFailure,
    EndSession,
    FromController,
    FromEndpoint,
    Goodbye,
    GoodbyeCode,
    Hello,
    RenewCertificate,
    Report,
    Welcome,
    encode_message,
)
from latchstring.protocol.statements import SignedStatement
from tls_identities import Identities, number_id

NOW = "2026-11-24T09:30:00.125Z"
HELLO = Hello(versions=(1,), agent_version="0.1.0", time=NOW, access=AccessMode.ASK, journal_size=0)
REPORT = Report(signed=SignedStatement(statement="AA==", signature="A" * 88))
RENEWAL = RenewCertificate(signing_request="x")
END = EndSession(session_id=number_id("ses"), reason=Reason.CONTROLLER_FORGOT)


@dataclass(frozen=True)
class Answer:
    """A hello's answer."""

    welcome: Welcome
    messages: tuple[FromController, ...]
    connection: int


@dataclass
class Services:
    """Services that do as they are told, and remember what they were asked."""

    hellos: int = 0
    accepted: int = 0
    gone: list[int] = field(default_factory=list)
    hello_error: Exception | None = None
    accept_errors: list[Exception] = field(default_factory=list)
    renew_error: Exception | None = None

    async def hello(self, endpoint_id: str, hello: Hello, source: str) -> Answer:
        """Answer with a welcome and one message."""
        assert source == "127.0.0.1"
        if self.hello_error is not None:
            raise self.hello_error
        self.hellos += 1
        welcome = Welcome(version=hello.versions[0], time=NOW, endpoint_id=endpoint_id, acknowledged=self.accepted)
        return Answer(welcome, (END,), self.hellos)

    async def accept(self, endpoint_id: str, reports: Sequence[SignedStatement]) -> int:
        """Count the reports."""
        assert endpoint_id.startswith("ept-")
        assert len(reports) <= channel_module.MAX_BATCH
        if self.accept_errors:
            raise self.accept_errors.pop(0)
        self.accepted += len(reports)
        return self.accepted

    async def disconnected(self, endpoint_id: str, connection: int) -> None:
        """Remember the connection."""
        assert endpoint_id.startswith("ept-")
        self.gone.append(connection)

    async def renew(self, endpoint_id: str, signing_request: str) -> str:
        """Return something in the certificate's place."""
        if self.renew_error is not None:
            raise self.renew_error
        return f"certificate of {endpoint_id} for {signing_request}"


@dataclass
class Tunnel:
    """A listener for endpoints."""

    identities: Identities
    services: Services
    hub: ChannelHub
    server: ChannelServer
    site: TlsSite
    url: str

    @asynccontextmanager
    async def connect(self, endpoint_id: str, **options: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket as an endpoint."""
        context = self.identities.endpoint(endpoint_id)
        async with (
            http_client() as client,
            client.ws_connect(self.url + CONTROL_PATH, ssl=context, **options) as socket,
        ):
            yield socket

    @asynccontextmanager
    async def welcomed(self, endpoint_id: str, **options: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket, say hello, and take the answer."""
        async with self.connect(endpoint_id, **options) as socket:
            await say(socket, HELLO)
            assert (await hear(socket))["type"] == "welcome"
            assert (await hear(socket))["type"] == "end_session"
            yield socket


async def say(socket: aiohttp.ClientWebSocketResponse, message: FromEndpoint) -> None:
    """Send a message."""
    await socket.send_str(encode_message(message))


async def hear(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """Return the next message; an empty one at the end."""
    frame = await socket.receive(timeout=10)
    if frame.type is not aiohttp.WSMsgType.TEXT:
        return {}
    document: dict[str, Any] = json.loads(frame.data)
    return document


async def hear_goodbye(socket: aiohttp.ClientWebSocketResponse, code: GoodbyeCode) -> int:
    """Require a goodbye and the end, and return when to come back."""
    message = await hear(socket)
    assert (message["type"], message["code"]) == ("goodbye", code)
    assert await hear(socket) == {}
    return int(message["retry_after_seconds"])


async def no_relay(_request: web.Request) -> web.StreamResponse:
    """Stand where the relay's stream is served."""
    return web.Response(text="relay")


@pytest.fixture
async def tunnel(tmp_path: Path) -> AsyncIterator[Tunnel]:
    """A running listener."""
    identities, services, hub = Identities.create(tmp_path), Services(), ChannelHub()
    server = ChannelServer(hub, reports=services, renewals=services, clock=SystemClock())
    listener = bind(Address("127.0.0.1", 0))
    limits = ListenerLimits(connections=AdmissionLimits(total=50, per_source=50))
    site = TlsSite(server.application(no_relay), listener, identities.server(clients=True), limits)
    await site.start()
    yield Tunnel(identities, services, hub, server, site, f"https://127.0.0.1:{listener.getsockname()[1]}")
    await server.close()
    await site.close()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Require that nothing that an endpoint does is an error in our log."""
    yield
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_conversation(tunnel: Tunnel) -> None:
    """Welcome, then what the services answered, then what they send; reports are acknowledged; the end is noticed."""
    endpoint_id = number_id("ept")
    async with tunnel.welcomed(endpoint_id) as socket:
        assert tunnel.hub.is_connected(endpoint_id)
        assert tunnel.hub.send(endpoint_id, END)
        assert (await hear(socket))["type"] == "end_session"
        for _ in range(150):
            await say(socket, REPORT)
        acknowledged = 0
        while acknowledged < 150:
            message = await hear(socket)
            assert message["type"] == "acknowledged"
            assert message["next_sequence"] > acknowledged
            acknowledged = message["next_sequence"]
        await say(socket, DialFailed(session_id=END.session_id, dial_id=number_id("dia"), failure=DialFailure.NOT_LIVE))
        await say(socket, RENEWAL)
        assert (await hear(socket))["certificate"] == f"certificate of {endpoint_id} for x"
    await eventually(lambda: tunnel.services.gone == [1], "the disconnect to be noticed")
    assert not tunnel.hub.is_connected(endpoint_id)
    assert not tunnel.hub.send(endpoint_id, END)
    assert tunnel.server.counters["dial_failed"] == 1


async def test_newer_replaces_older(tunnel: Tunnel) -> None:
    """A second channel of one endpoint ends the first, and stays."""
    endpoint_id = number_id("ept")
    async with tunnel.welcomed(endpoint_id) as first, tunnel.welcomed(endpoint_id) as second:
        await hear_goodbye(first, GoodbyeCode.REPLACED)
        await eventually(lambda: tunnel.services.gone == [1], "the first to be gone")
        assert tunnel.hub.send(endpoint_id, END)
        assert (await hear(second))["type"] == "end_session"


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "garbage",
        "{}",
        '{"type": "unknown"}',
        '{"type": "report"}',
        '{"type": "goodbye", "code": "busy", "retry_after_seconds": 1}',
        encode_message(REPORT).replace("{", '{"extra": 1, ', 1),
        "[" * 10_000,
        b"binary",
    ],
)
@pytest.mark.parametrize("after_hello", [False, True])
async def test_malformed(
    tunnel: Tunnel,
    frame: str | bytes,
    after_hello: bool,  # noqa: FBT001 - a row of a table
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is no message in its place ends the channel with one code and one line that repeats nothing of it."""
    opened = tunnel.welcomed(number_id("ept")) if after_hello else tunnel.connect(number_id("ept"))
    async with opened as socket:
        await (socket.send_bytes(frame) if isinstance(frame, bytes) else socket.send_str(frame))
        assert await hear_goodbye(socket, GoodbyeCode.MALFORMED) == channel_module.MALFORMED_RETRY_SECONDS
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "extra" not in warnings[0].getMessage()


async def test_second_hello(tunnel: Tunnel) -> None:
    """A hello in the middle of a conversation ends it."""
    async with tunnel.welcomed(number_id("ept")) as socket:
        await say(socket, HELLO)
        await hear_goodbye(socket, GoodbyeCode.MALFORMED)


async def test_report_before_hello(tunnel: Tunnel) -> None:
    """Reports before the hello are not taken."""
    async with tunnel.connect(number_id("ept")) as socket:
        await say(socket, REPORT)
        await hear_goodbye(socket, GoodbyeCode.MALFORMED)
    assert tunnel.services.accepted == 0


async def test_oversize(tunnel: Tunnel) -> None:
    """A frame beyond the limit ends the connection."""
    async with tunnel.welcomed(number_id("ept")) as socket:
        await socket.send_str("x" * (MAX_MESSAGE_BYTES + 1))
        assert await hear(socket) == {}
    await eventually(lambda: tunnel.services.gone == [1], "the channel to end")


async def test_late_hello(tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not say hello in time is sent away."""
    monkeypatch.setattr(server_module, "HELLO_SECONDS", 0.1)
    async with tunnel.connect(number_id("ept")) as socket:
        await hear_goodbye(socket, GoodbyeCode.MALFORMED)
    assert tunnel.server.counters["silent"] == 1


async def test_dead_peer(tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that answers no ping counts as gone."""
    monkeypatch.setattr(server_module, "HEARTBEAT_SECONDS", 0.2)
    endpoint_id = number_id("ept")
    async with tunnel.welcomed(endpoint_id, autoping=False):
        await eventually(lambda: tunnel.services.gone == [1], "the dead peer to be noticed")
    assert not tunnel.hub.is_connected(endpoint_id)


@pytest.mark.parametrize("code", [GoodbyeCode.REVOKED, GoodbyeCode.VERSION])
async def test_refused_hello(tunnel: Tunnel, code: GoodbyeCode) -> None:
    """An endpoint that may not connect hears why, and when to come back."""
    tunnel.services.hello_error = HelloRefusedError(code, "no", retry_after_seconds=77)
    endpoint_id = number_id("ept")
    async with tunnel.connect(endpoint_id) as socket:
        await say(socket, HELLO)
        assert await hear_goodbye(socket, code) == 77
    assert not tunnel.hub.is_connected(endpoint_id)
    assert tunnel.services.gone == []


async def test_hello_that_cannot_be_logged(tunnel: Tunnel) -> None:
    """Without the log nobody is welcomed."""
    tunnel.services.hello_error = StoreUnavailableError()
    async with tunnel.connect(number_id("ept")) as socket:
        await say(socket, HELLO)
        assert await hear_goodbye(socket, GoodbyeCode.BUSY) >= channel_module.BUSY_RETRY_SECONDS


async def test_too_many_hellos(tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the rate of hellos, endpoints are asked to come later."""
    monkeypatch.setattr(server_module, "_HELLO_BURST", 1.0)
    monkeypatch.setattr(server_module, "_HELLOS_PER_SECOND", 0.001)
    server = ChannelServer(tunnel.hub, reports=tunnel.services, renewals=tunnel.services, clock=SystemClock())
    monkeypatch.setattr(tunnel.server, "_hellos", server._hellos)
    async with tunnel.welcomed(number_id("ept")), tunnel.connect(number_id("ept")) as socket:
        await say(socket, HELLO)
        await hear_goodbye(socket, GoodbyeCode.BUSY)


async def test_hellos_of_one_endpoint(tunnel: Tunnel) -> None:
    """Who reconnects without end is asked to come later, new connection or not, and takes nothing from the others."""
    endpoint_id = number_id("ept")
    for _ in range(10):
        async with tunnel.welcomed(endpoint_id):
            pass
    shared = tunnel.server._hellos._tokens
    for _ in range(2):
        async with tunnel.connect(endpoint_id) as socket:
            await say(socket, HELLO)
            assert await hear_goodbye(socket, GoodbyeCode.BUSY) >= channel_module.BUSY_RETRY_SECONDS
    assert tunnel.services.hellos == 10
    assert tunnel.server._hellos._tokens == shared
    async with tunnel.welcomed(number_id("ept")):
        pass


async def test_reports_of_one_endpoint(tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its burst an endpoint's reports are taken at the rate, all of them, and reconnecting does not help."""
    waits: list[float] = []
    rates, endpoint_id = KeyedRates(rate=20.0, burst=4.0), number_id("ept")

    def borrow(owner: str, now: float) -> float:
        waits.append(KeyedRates.borrow(rates, owner, now))
        return waits[-1]

    monkeypatch.setattr(tunnel.server._report_rates, "borrow", borrow)
    for expected in (4, 8):
        async with tunnel.welcomed(endpoint_id) as socket:
            for _ in range(4):
                await say(socket, REPORT)
            while (await hear(socket))["next_sequence"] < expected:
                pass
    assert waits[:4] == [0.0] * 4
    assert waits[-1] > 0
    assert len(waits) == 8


async def test_report_rates(tunnel: Tunnel) -> None:
    """An endpoint may report 5000 events at once, and five each second from then on."""
    rates = tunnel.server._report_rates
    assert max(rates.borrow("ept", 0.0) for _ in range(5000)) == 0.0
    assert rates.borrow("ept", 0.0) == pytest.approx(0.2)


async def test_log_unavailable_for_a_while(tunnel: Tunnel) -> None:
    """Reports wait, unacknowledged, until the log can be written again; the channel stays."""
    tunnel.services.accept_errors = [StoreUnavailableError(), StoreUnavailableError()]
    async with tunnel.welcomed(number_id("ept")) as socket:
        await say(socket, REPORT)
        assert await hear(socket) == {"type": "acknowledged", "next_sequence": 1}
    assert tunnel.server.counters["reports_postponed"] == 2


async def test_refused_report(tunnel: Tunnel) -> None:
    """A report that the services refuse ends the channel."""
    tunnel.services.accept_errors = [ReportGapError("report 0 is missing")]
    async with tunnel.welcomed(number_id("ept")) as socket:
        await say(socket, REPORT)
        await hear_goodbye(socket, GoodbyeCode.MALFORMED)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CertificateRequestError("bad"), GoodbyeCode.MALFORMED),
        (HelloRefusedError(GoodbyeCode.REVOKED, "no", retry_after_seconds=1), GoodbyeCode.REVOKED),
    ],
)
async def test_refused_renewal(tunnel: Tunnel, error: Exception, code: GoodbyeCode) -> None:
    """A renewal that is refused ends the channel with its reason."""
    tunnel.services.renew_error = error
    async with tunnel.welcomed(number_id("ept")) as socket:
        await say(socket, RENEWAL)
        await hear_goodbye(socket, code)


async def test_postponed_renewal(tunnel: Tunnel) -> None:
    """A renewal that cannot be logged now is not answered, and the channel stays."""
    tunnel.services.renew_error = StoreUnavailableError()
    async with tunnel.welcomed(number_id("ept")) as socket:
        await say(socket, RENEWAL)
        await say(socket, REPORT)
        assert (await hear(socket))["type"] == "acknowledged"
    assert tunnel.server.counters["renewal_postponed"] == 1


async def test_too_many_requests(tunnel: Tunnel) -> None:
    """An endpoint that asks for certificates without end is sent away."""
    async with tunnel.welcomed(number_id("ept")) as socket:
        for _ in range(100):
            await say(socket, RENEWAL)
        answers = [await hear(socket)]
        while answers[-1].get("type") == "certificate_renewed":
            answers.append(await hear(socket))
        assert answers[-1]["code"] == GoodbyeCode.BUSY
        assert len(answers) < 50


async def test_close_from_a_service(tunnel: Tunnel) -> None:
    """A service's goodbye comes behind what it sent before."""
    endpoint_id = number_id("ept")
    async with tunnel.welcomed(endpoint_id) as socket:
        tunnel.hub.send(endpoint_id, END)
        tunnel.hub.close(endpoint_id, Goodbye(code=GoodbyeCode.REVOKED, retry_after_seconds=9))
        assert not tunnel.hub.send(endpoint_id, END)
        assert (await hear(socket))["type"] == "end_session"
        assert await hear_goodbye(socket, GoodbyeCode.REVOKED) == 9


async def test_stop(tunnel: Tunnel) -> None:
    """When the controller stops, every endpoint is told, and newcomers are sent away."""
    async with tunnel.welcomed(number_id("ept")) as one, tunnel.welcomed(number_id("ept")) as two:
        late_opened = tunnel.connect(number_id("ept"))
        async with late_opened as late:
            closing = asyncio.create_task(tunnel.server.close())
            await asyncio.gather(hear_goodbye(one, GoodbyeCode.RESTARTING), hear_goodbye(two, GoodbyeCode.RESTARTING))
            await say(late, HELLO)
            await hear_goodbye(late, GoodbyeCode.BUSY)
            await closing
    await eventually(lambda: sorted(tunnel.services.gone) == [1, 2], "both to be gone")


async def test_without_a_certificate(tunnel: Tunnel) -> None:
    """Who has no certificate of our root gets no answer."""
    async with http_client() as client:
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await client.get(tunnel.url + CONTROL_PATH, ssl=tunnel.identities.person())


async def test_foreign_certificate(tunnel: Tunnel, tmp_path: Path) -> None:
    """A certificate of another controller's root gets no answer."""
    (tmp_path / "other").mkdir()
    other = Identities.create(tmp_path / "other")
    context = other.endpoint(number_id("ept"), trusted=tunnel.identities.keys.x509.root_pem())
    async with http_client() as client:
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await client.get(tunnel.url + CONTROL_PATH, ssl=context)


@pytest.mark.parametrize(("path", "status"), [(CONTROL_PATH, 422), ("/", 404), ("/api/v1/login", 404)])
async def test_no_websocket(tunnel: Tunnel, path: str, status: int) -> None:
    """The listener for endpoints serves nothing but their WebSockets."""
    context = tunnel.identities.endpoint(number_id("ept"))
    async with http_client() as client, client.get(tunnel.url + path, ssl=context) as answer:
        assert answer.status == status
        assert answer.content_type == "application/problem+json"
        assert "Server" not in answer.headers
