"""The ways to the relay: straight first, and around where that one is closed."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from endpoint_parts import FakeClock
from http_proxy import http_proxy
from latchstring.endpoint import outbound, relay_ways
from latchstring.endpoint.proxies import Proxy, parse_proxy
from latchstring.endpoint.relay_address import RelayAddress
from latchstring.endpoint.relay_way import RelayWay
from latchstring.endpoint.relay_ways import AGAIN_SECONDS, RelayWays


@dataclass
class Place:
    """A relay's listening socket, and the ways there."""

    listener: socket.socket
    ways: RelayWays
    clock: FakeClock
    proxies: list[Proxy] = field(default_factory=list)
    websockets: list[socket.socket] = field(default_factory=list)
    closed: bool = False
    """Whether the controller's port is closed, too."""

    async def way(self) -> RelayWay | None:
        """Connect, and return how."""
        (await self.ways.connect()).close()
        return self.ways.last

    def accepted(self) -> bool:
        """Tell whether somebody came straight."""
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    """A relay that can be reached."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        clock = FakeClock()
        here: Place

        async def open_websocket() -> socket.socket:
            if here.closed:
                raise ConnectionRefusedError("closed, too")
            ours, theirs = socket.socketpair()
            here.websockets.append(theirs)
            return ours

        ways = RelayWays(
            RelayAddress(*listener.getsockname()),
            find_proxy=lambda _: here.proxies[0] if here.proxies else None,
            open_websocket=open_websocket,
            monotonic=clock.monotonic,
        )
        here = Place(listener, ways, clock)
        yield here
        for websocket in here.websockets:
            websocket.close()


async def test_the_straight_way_first(place: Place) -> None:
    """Where the relay can be reached nobody takes another way."""
    assert place.ways.last is None
    assert await place.way() is RelayWay.DIRECT
    assert place.accepted()
    assert place.websockets == []


async def test_around_a_closed_port(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Behind a closed port the WebSocket is taken, told once; the port is left alone for ten minutes, then tried."""
    caplog.set_level(logging.INFO)
    place.listener.close()
    for _ in range(3):
        assert await place.way() is RelayWay.WEBSOCKET
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "slower" in caplog.text
    with socket.create_server(("127.0.0.1", 0)) as opened:
        opened.setblocking(False)
        place.listener, place.ways._relay = opened, RelayAddress(*opened.getsockname())
        place.clock.elapsed += AGAIN_SECONDS - 1
        assert await place.way() is RelayWay.WEBSOCKET
        assert not place.accepted()
        place.clock.elapsed += 1
        assert await place.way() is RelayWay.DIRECT
        assert place.accepted()
    assert "directly again" in caplog.text


async def test_around_a_silent_firewall(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that answers nothing costs a bounded wait, once."""
    monkeypatch.setattr(relay_ways, "DIRECT_SECONDS", 0.05)

    async def never(*_: object) -> socket.socket:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(outbound, "connect_tcp", never)
    assert await place.way() is RelayWay.WEBSOCKET


async def test_no_way(place: Place) -> None:
    """When both are closed that is an error, and the next attempt tries again."""
    place.listener.close()
    place.closed = True
    with pytest.raises(ConnectionRefusedError):
        await place.way()
    assert place.ways.last is None
    place.closed = False
    assert await place.way() is RelayWay.WEBSOCKET


async def test_through_a_proxy(place: Place) -> None:
    """A proxy that lets us to the relay is the straight way; one that does not is a reason to take the other."""
    port = place.listener.getsockname()[1]
    with http_proxy() as open_proxy, http_proxy(allows=lambda asked: asked != port) as strict_proxy:
        place.proxies = [parse_proxy(open_proxy.url)]
        assert await place.way() is RelayWay.DIRECT
        assert open_proxy.asked == [f"127.0.0.1:{port}"]
        place.proxies = [parse_proxy(strict_proxy.url)]
        assert await place.way() is RelayWay.WEBSOCKET
        assert strict_proxy.asked == [f"127.0.0.1:{port}"]


async def test_a_proxy_that_is_none(place: Place) -> None:
    """An environment that names no proxy closes the straight way, and does not break the dial."""

    def broken(_: str) -> Proxy | None:
        raise ValueError("not the address of a proxy")

    place.ways._find_proxy = broken
    assert await place.way() is RelayWay.WEBSOCKET
