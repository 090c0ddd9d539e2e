"""Tests of HTTPS listeners with real sockets: limits, silence, garbage."""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from eventually import eventually
from latchstring.controller.addresses import Address
from latchstring.controller.https import connection as connection_module
from latchstring.controller.https.admission import AdmissionLimits
from latchstring.controller.https.listener import ListenerLimits, ListenError, bind
from latchstring.controller.https.site import TlsSite
from tls_identities import Identities

GOOD = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LIMITS = ListenerLimits(connections=AdmissionLimits(total=4, per_source=4), handshake_seconds=0.3)


@asynccontextmanager
async def site(identities: Identities, limits: ListenerLimits = LIMITS) -> AsyncIterator[tuple[TlsSite, int]]:
    """Serve one small application."""

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=f"hello {len(await request.read())}")

    application = web.Application()
    application.router.add_route("*", "/", hello)
    listener = bind(Address("127.0.0.1", 0))
    served = TlsSite(application, listener, identities.server(), limits)
    await served.start()
    try:
        yield served, listener.getsockname()[1]
    finally:
        await served.close()


@pytest.fixture
def identities(tmp_path: Path) -> Identities:
    """A controller's keys."""
    return Identities.create(tmp_path)


async def ask(port: int, context: ssl.SSLContext, request: bytes) -> bytes:
    """Send bytes over TLS and return all that comes back until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(request)
    answer = await reader.read()
    writer.transport.abort()
    return answer


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@asynccontextmanager
async def no_leak(port: int, identities: Identities) -> AsyncIterator[None]:
    """Require that no more descriptors are open in the end than after one good request, when the loop has its own."""
    await ask(port, identities.person(), GOOD)
    before = descriptors()
    yield
    await eventually(lambda: descriptors() <= before, "descriptors to be closed")


async def test_answers(identities: Identities) -> None:
    """A request over TLS 1.3 is answered."""
    async with site(identities) as (served, port):
        answer = await ask(port, identities.person(), GOOD)
        assert answer.endswith(b"hello 0")
        assert served.counters["established"] == 1


async def test_old_tls_is_refused(identities: Identities) -> None:
    """TLS 1.2 gets no connection."""
    context = identities.person()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with site(identities) as (served, port):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await ask(port, context, b"")
        assert served.counters["established"] == 0


@pytest.mark.parametrize(
    "request_",
    [
        b"\x00" * 300,
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: y\r\n" % number for number in range(100)) + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_malformed_http(identities: Identities, request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """What is not HTTP gets a bland problem and the end of the connection, and no error in our log."""
    caplog.set_level(logging.DEBUG)
    async with site(identities) as (_, port), no_leak(port, identities):
        answer = await ask(port, identities.person(), request_)
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
        assert b"application/problem+json" in answer
        assert b"Server" not in answer
        assert b"aiohttp" not in answer
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_broken_body(identities: Identities, caplog: pytest.LogCaptureFixture) -> None:
    """A chunked body that is garbage ends the connection without an error in our log."""
    async with site(identities) as (_, port):
        request = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n\r\n"
        assert b"hello" not in await ask(port, identities.person(), request)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_silence(identities: Identities, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who connects and says nothing, or half a request, is dropped, before and after the handshake."""
    monkeypatch.setattr(connection_module, "IDLE_SECONDS", 0.2)
    async with site(identities) as (served, port), no_leak(port, identities):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        silent = await asyncio.open_connection("127.0.0.1", port, ssl=identities.person())
        half = await asyncio.open_connection("127.0.0.1", port, ssl=identities.person())
        half[1].write(b"GET / HTTP/1.1\r\nHos")
        async with asyncio.timeout(5):
            assert await reader.read() == b""
            assert await silent[0].read() == b""
            assert await half[0].read() == b""
        for dropped in (writer, silent[1], half[1]):
            dropped.transport.abort()
        assert served.counters["handshake_failed"] == 1


async def test_garbage_instead_of_tls(identities: Identities, caplog: pytest.LogCaptureFixture) -> None:
    """Bytes that are no TLS are dropped and counted."""
    async with site(identities) as (served, port), no_leak(port, identities):
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + os.urandom(400), b"SSH-2.0-x\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(garbage)
            async with asyncio.timeout(5):
                await reader.read()
            writer.transport.abort()
        await eventually(lambda: served.counters["handshake_failed"] == 3, "three handshakes to fail")
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_too_many_connections(identities: Identities) -> None:
    """Beyond its share a source is turned away, and let in again when it has gone."""
    async with site(identities) as (served, port):
        held = [await asyncio.open_connection("127.0.0.1", port, ssl=identities.person()) for _ in range(4)]
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=identities.person())
        assert served.counters["refused"] == 1
        for _, writer in held:
            writer.transport.abort()
        answer = b""
        async with asyncio.timeout(5):
            while not answer.endswith(b"hello 0"):
                try:
                    answer = await ask(port, identities.person(), GOOD)
                except (ConnectionError, ssl.SSLError):
                    await asyncio.sleep(0.01)


async def test_close_with_open_connections(identities: Identities) -> None:
    """Closing ends connections that are open, and handshakes in progress."""
    async with site(identities) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=identities.person())
        _, handshaking = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.transport.abort()
    handshaking.transport.abort()
    await asyncio.sleep(0)


def test_port_taken() -> None:
    """A port that is taken, and an address that is not ours, are named."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"127.0.0.1:{port}: the port is taken"):
            bind(Address("127.0.0.1", port))
    with pytest.raises(ListenError, match="no such address"):
        bind(Address("192.0.2.1", 0))
    with pytest.raises(ListenError, match=r"no-such-host\.invalid"):
        bind(Address("no-such-host.invalid", 0))
