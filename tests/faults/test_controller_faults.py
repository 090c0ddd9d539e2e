"""A table of what strangers and endpoints get wrong, against a real controller: dropped, and nobody else is disturbed.

After each fault the controller still answers, has no more descriptors open than before, and complained about nothing.
"""

import asyncio
import contextlib
import itertools
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from eventually import eventually
from http_clients import http_client
from latchstring.protocol.messages import CONTROL_PATH, MAX_MESSAGE_BYTES
from parties import BIN, Party, Site
from served_controller import Reach
from tls_identities import Identities, number_id

LISTENERS = ("people", "tunnel", "relay")
SILENT_SECONDS = 16.0
UNSIGNED = '{"type": "report", "signed": {"statement": "AA==", "signature": "' + "A" * 88 + '"}}'
_names = (f"pbx-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One controller for the whole table."""
    made = Site(tmp_path_factory.mktemp("faults"))
    (made.root / "home").mkdir()
    ports = ["--listen", "127.0.0.1:0", "--tunnel-listen", "127.0.0.1:0", "--relay-listen", "127.0.0.1:0"]
    made.vendor("init", "--name", "support.example.test", *ports)
    command = [str(BIN / "latch-controller"), "serve", "--data", str(made.controller_data)]
    made.controller = Party(command, made.root / "controller.log", made.environment())
    made.controller.wait_for("ready")
    yield made
    made.close()


def open_descriptors(site: Site) -> int:
    """Return how many descriptors the controller has open, without its database's: two sweeps at once open a reader."""
    assert site.controller is not None
    own = str(site.controller_data)
    return sum(1 for target in _targets(Path(f"/proc/{site.controller.process.pid}/fd")) if not target.startswith(own))


def _targets(folder: Path) -> Iterator[str]:
    for entry in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            yield str(entry.readlink())


@asynccontextmanager
async def undisturbed(site: Site) -> AsyncIterator[Reach]:
    """Require that a fault leaves no trace."""
    assert site.controller is not None
    async with http_client() as client:
        reach = Reach.of(site.controller_data, client)
        assert await reach.anonymous.get("/healthz") == {"status": "ok"}
        before, said = open_descriptors(site), len(site.controller.text)
        yield reach
        async with asyncio.timeout(5):
            assert await reach.anonymous.get("/healthz") == {"status": "ok"}
    await eventually(lambda: open_descriptors(site) <= before, "the controller to close descriptors")
    assert site.controller.process.poll() is None
    for word in ("ERROR", "Traceback"):
        assert word not in site.controller.text[said:]


def connect(reach: Reach, listener: str) -> socket.socket:
    """Connect to a listener without a word."""
    address = getattr(reach.bound, listener)
    return socket.create_connection((address.host, address.port), timeout=SILENT_SECONDS)


def send(data: bytes) -> Callable[[socket.socket], None]:
    """Return the fault of sending ``data``, and reading until the end."""

    def fault(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        _drain(connection)

    return fault


def reset(connection: socket.socket) -> None:
    """Reset the connection in the middle of a TLS record."""
    connection.sendall(b"\x16\x03\x01\x02\x00\x01")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def half_close(connection: socket.socket) -> None:
    """Close one's own half at once, and listen."""
    connection.shutdown(socket.SHUT_WR)
    _drain(connection)


def leave(_connection: socket.socket) -> None:
    """Go away without a word."""


def _drain(connection: socket.socket) -> None:
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        return


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), id="plain HTTP"),
        pytest.param(send(b"SSH-2.0-OpenSSH_9.2\r\n"), id="SSH"),
        pytest.param(send(b"\x16\x03\x01\x40\x00" + bytes(range(256)) * 64), id="a TLS record of garbage"),
        pytest.param(send(b"\x00" * 100_000), id="zeros"),
        pytest.param(send(os.urandom(100_000)), id="noise"),
        pytest.param(reset, id="reset"),
        pytest.param(half_close, id="half-closed"),
        pytest.param(leave, id="gone at once"),
    ],
)
async def test_strangers(site: Site, listener: str, fault: Callable[[socket.socket], None]) -> None:
    """What a stranger sends to a listener ends that connection, several at once as well as one."""
    async with undisturbed(site) as reach:

        def misbehave() -> None:
            with connect(reach, listener) as connection:
                try:
                    fault(connection)
                except OSError:
                    return  # the controller has ended it already

        await asyncio.gather(*(asyncio.to_thread(misbehave) for _ in range(5)))


async def test_silence(site: Site) -> None:
    """Who says nothing is dropped by every listener, and holds nobody up meanwhile."""
    async with undisturbed(site) as reach:

        def be_silent(listener: str) -> bytes:
            with connect(reach, listener) as connection:
                return connection.recv(1)

        silent = [asyncio.to_thread(be_silent, listener) for listener in LISTENERS for _ in range(2)]
        waiting = asyncio.gather(*silent)
        async with asyncio.timeout(5):
            for _ in range(5):
                assert await reach.anonymous.get("/healthz") == {"status": "ok"}
        # The relay says why before it closes; the TLS listeners have nothing to say it in.
        assert all(len(said) <= 1 for said in await waiting)


Talk = Callable[[aiohttp.ClientWebSocketResponse], Awaitable[None]]


def text(frame: str) -> Talk:
    """Return the fault of sending one text frame."""

    async def fault(channel: aiohttp.ClientWebSocketResponse) -> None:
        await channel.send_str(frame)

    return fault


async def binary(channel: aiohttp.ClientWebSocketResponse) -> None:
    """Send a binary frame."""
    await channel.send_bytes(os.urandom(1000))


async def torn(channel: aiohttp.ClientWebSocketResponse) -> None:
    """Send the head of a long frame, and go away."""
    transport = channel._writer.transport
    assert transport is not None
    transport.write(b"\x81\xfe\x10\x00abcd")
    transport.close()


async def unmasked(channel: aiohttp.ClientWebSocketResponse) -> None:
    """Send what no WebSocket may send."""
    transport = channel._writer.transport
    assert transport is not None
    transport.write(b"\xff" * 200)


@pytest.mark.parametrize("welcomed", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(text("not json"), id="no JSON"),
        pytest.param(text('{"type": "unheard_of"}'), id="an unknown type"),
        pytest.param(text('{"type": "welcome"}'), id="the other side's type"),
        pytest.param(text("[" * 60_000), id="depth"),
        pytest.param(text("x" * (MAX_MESSAGE_BYTES + 1)), id="an oversize frame"),
        pytest.param(text("x" * 20_000_000), id="a very oversize frame"),
        pytest.param(
            text('{"type": "report", "signed": {"statement": "AA==", "signature": "' + "A" * 88 + '"}}'),
            id="no signature",
        ),
        pytest.param(text('{"type": "renew_certificate", "signing_request": "x"}'), id="no signing request"),
        pytest.param(binary, id="binary"),
        pytest.param(torn, id="a torn frame"),
        pytest.param(unmasked, id="no WebSocket"),
    ],
)
async def test_endpoints(site: Site, fault: Talk, welcomed: bool) -> None:  # noqa: FBT001 - a row of a table
    """What an endpoint that is enrolled gets wrong ends its channel, before its welcome and after."""
    async with undisturbed(site) as reach:
        endpoint = await reach.endpoint(next(_names))
        async with endpoint.client.ws_connect(endpoint.url + CONTROL_PATH, ssl=endpoint.context) as channel:
            if welcomed:
                await channel.send_str(endpoint.machine.hello().model_dump_json())
                assert (await channel.receive_json())["type"] == "welcome"
            try:
                await fault(channel)
                async with asyncio.timeout(10):
                    while (await channel.receive()).type is aiohttp.WSMsgType.TEXT:
                        pass
            except ConnectionError:
                pass
            assert channel.closed or channel.exception() is not None


async def test_many_handshakes(site: Site) -> None:
    """A burst of handshakes, half of them abandoned, is worked off."""
    async with undisturbed(site) as reach:
        context = reach.anonymous.context

        def shake_hands(number: int) -> None:
            with connect(reach, "people") as connection:
                if number % 2:
                    connection.sendall(b"\x16\x03\x01")
                    return
                with context.wrap_socket(connection, server_hostname="127.0.0.1") as tls:
                    assert tls.version() == "TLSv1.3"

        await asyncio.gather(*(asyncio.to_thread(shake_hands, number) for number in range(40)))


@pytest.mark.parametrize("kind", ["none", "foreign"])
async def test_client_certificates(site: Site, tmp_path: Path, kind: str) -> None:
    """Without a certificate of our root there is no connection to the listener for endpoints."""
    async with undisturbed(site) as reach:
        context = reach.anonymous.context
        if kind != "none":
            context = _foreign(tmp_path, reach.root)
        async with http_client() as client:
            url = f"https://{reach.bound.tunnel}{CONTROL_PATH}"
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await client.ws_connect(url, ssl=context)


def _foreign(tmp_path: Path, root: bytes) -> ssl.SSLContext:
    return Identities.create(tmp_path).endpoint(number_id("ept"), trusted=root)
