"""Which proxy leads where, and the way through it."""

import asyncio
import socket

import pytest

from latchstring.endpoint.proxies import Proxy, find_proxy, parse_proxy
from latchstring.endpoint.proxy_connect import ProxyRefusedError, open_tunnel


@pytest.mark.parametrize(
    ("url", "host", "port", "authorization"),
    [
        ("http://proxy.test:8080", "proxy.test", 8080, None),
        ("proxy.test:8080", "proxy.test", 8080, None),
        ("http://proxy.test", "proxy.test", 3128, None),
        ("http://[::1]:8080/", "::1", 8080, None),
        ("http://ann:p%40ss@proxy.test:1", "proxy.test", 1, "Basic YW5uOnBAc3M="),
    ],
)
def test_addresses(url: str, host: str, port: int, authorization: str | None) -> None:
    """Each way of writing a proxy; its credentials never show."""
    proxy = parse_proxy(url)
    assert (proxy.host, proxy.port, proxy.authorization) == (host, port, authorization)
    assert "p%40ss" not in repr(proxy)


@pytest.mark.parametrize(
    "url", ["ftp://proxy.test", "https://proxy.test", "http://", "http://a:b:c", "http://p/x", "http://p:99999"]
)
def test_no_addresses(url: str) -> None:
    """What is no HTTP proxy is refused, and the message repeats no credentials."""
    with pytest.raises(ValueError, match="proxy"):
        parse_proxy(url)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set wins over the environment, whose exceptions are kept."""
    monkeypatch.setenv("HTTPS_PROXY", "http://environment.test:1")
    monkeypatch.setenv("NO_PROXY", "direct.test")
    for name in ("https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert find_proxy("http://set.test:2", "direct.test") == parse_proxy("http://set.test:2")
    assert find_proxy(None, "far.test") == parse_proxy("http://environment.test:1")
    assert find_proxy(None, "direct.test") is None
    monkeypatch.delenv("HTTPS_PROXY")
    assert find_proxy(None, "far.test") is None


async def through(answer: bytes, proxy: Proxy) -> tuple[bytes, bytes]:
    """Open a tunnel through a proxy that gives this answer; return what it was asked, and what came after."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    with ours, theirs:
        await loop.sock_sendall(theirs, answer)
        await open_tunnel(ours, proxy, "relay.test", 7022)
        theirs.shutdown(socket.SHUT_WR)
        return await loop.sock_recv(theirs, 4096), await loop.sock_recv(ours, 4096)


async def test_tunnel() -> None:
    """The request names the relay, and not a byte of what follows the answer is lost."""
    proxy = parse_proxy("http://ann:secret@proxy.test:1")
    asked, after = await through(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nSSH", proxy)
    assert asked.startswith(b"CONNECT relay.test:7022 HTTP/1.1\r\nHost: relay.test:7022\r\nProxy-Authorization: Basic ")
    assert after == b"SSH"


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 403 Forbidden\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200\r\n" + b"x" * 9000]
)
async def test_no_tunnel(answer: bytes) -> None:
    """A proxy that refuses, or that is none, is told as such."""
    with pytest.raises(ProxyRefusedError):
        await through(answer, parse_proxy("proxy.test"))
