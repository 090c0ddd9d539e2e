"""The way through an HTTP proxy."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from http_proxy import http_proxy
from latchstring.client.errors import UsageFaultError
from latchstring.client.proxies import Proxy, ProxyError, connect_through, parse_proxy
from latchstring.client.tcp import open_connection


@pytest.mark.parametrize(
    ("url", "host", "port", "authorization"),
    [
        ("http://proxy.test:8080", "proxy.test", 8080, None),
        ("proxy.test:8080", "proxy.test", 8080, None),
        ("http://proxy.test", "proxy.test", 3128, None),
        ("http://[::1]:8080/", "::1", 8080, None),
        ("http://ann:p%40ss@proxy.test:1", "proxy.test", 1, "Basic YW5uOnBAc3M="),
        ("http://ann@proxy.test:1", "proxy.test", 1, "Basic YW5uOg=="),
        ("http://ann:\udce9@proxy.test:1", "proxy.test", 1, "Basic YW5uOuk="),
    ],
)
def test_addresses(url: str, host: str, port: int, authorization: str | None) -> None:
    """Each way of writing a proxy; its credentials never show."""
    proxy = parse_proxy(url)
    assert (proxy.host, proxy.port, proxy.authorization) == (host, port, authorization)
    assert repr(proxy) == f"Proxy({'[::1]' if host == '::1' else host}:{port})"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://ann:secret@proxy.test",
        "https://ann:secret@proxy.test",
        "http://",
        "http://ann:secret@p:c",
        "http://p/x",
        "http://ann:secret@p:99999",
        "http://ann:secret@[::1",
    ],
)
def test_no_addresses(url: str) -> None:
    """What is no HTTP proxy is refused, and neither the message nor its cause repeats credentials."""
    with pytest.raises(UsageFaultError, match="not the address of an HTTP proxy") as caught:
        parse_proxy(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@contextmanager
def answering(answer: bytes) -> Iterator[Proxy]:
    """Run something that takes one connection and gives this answer, whatever it is asked."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(ConnectionResetError):
            connection.recv(4096)
            connection.sendall(answer)
            connection.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    with listener:
        yield Proxy("127.0.0.1", listener.getsockname()[1], None)
    thread.join()


def test_tunnel() -> None:
    """With credentials in the environment, the connection goes to its target, and carries every byte of it."""
    with http_proxy(credentials="ann:s3cret") as proxy, socket.create_server(("127.0.0.1", 0)) as target:
        port = target.getsockname()[1]
        environment = {"HTTPS_PROXY": proxy.url}
        connection = open_connection("127.0.0.1", port, environment=environment, seconds=5, clock=time.monotonic)
        accepted, _ = target.accept()
        with connection, accepted:
            accepted.sendall(b"SSH-2.0-x")
            assert connection.recv(100) == b"SSH-2.0-x"
            assert connection.gettimeout() == 5
        lines = [f"CONNECT 127.0.0.1:{port} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
        assert proxy.heads == ["\r\n".join([*lines, "Proxy-Authorization: Basic YW5uOnMzY3JldA==", "", ""])]


def test_bytes_that_follow_the_answer() -> None:
    """What comes in the same packet as the answer belongs to the tunnel."""
    with answering(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nSSH") as proxy:
        connection = connect_through(proxy, "relay.test", 7022, seconds=5, clock=time.monotonic)
        with connection:
            assert connection.recv(100) == b"SSH"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "refuses the connection (HTTP status 403 Forbidden)"),
        (b"HTTP/1.0 502 \x1b[31mBad\x07\r\n\r\n", "refuses the connection (HTTP status 502 [31mBad)"),
        (b"HTTP/1.1 407 No\r\n\r\n", "(HTTP status 407 No), write user and password in HTTPS_PROXY: http://USER:"),
        (b"SSH-2.0-x\r\n\r\n", "does not answer in HTTP"),
        (b"HTTP/1.1 OK\r\n\r\n", "does not answer in HTTP"),
        (b"HTTP/1.1 200\r\n" + b"x" * 9000, "does not answer in HTTP"),
        (b"\r\n\r\n", "does not answer in HTTP"),
    ],
)
def test_no_tunnel(answer: bytes, words: str) -> None:
    """A proxy that refuses, or that is none, is named with its address and status, in printable words."""
    with answering(answer) as proxy, pytest.raises(ProxyError) as caught:
        connect_through(proxy, "relay.test", 7022, seconds=5, clock=time.monotonic)
    said = str(caught.value.strerror)
    assert said.startswith(f"the proxy at 127.0.0.1:{proxy.port} ")
    assert words in said
    assert said.isprintable()


def test_wrong_credentials() -> None:
    """Credentials that the proxy does not take are said to be wrong, and not repeated."""
    with http_proxy(credentials="ann:s3cret") as proxy, pytest.raises(ProxyError, match=r"407.*check user") as caught:
        connect_through(parse_proxy(proxy.url.replace("s3cret", "other")), "a.test", 1, seconds=5, clock=time.monotonic)
    assert "other" not in str(caught.value)


def test_proxy_that_nobody_runs() -> None:
    """A proxy that cannot be reached is named; the target is not blamed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ProxyError, match=f"the proxy at 127.0.0.1:{port} cannot be reached .Connection refused"):
        connect_through(Proxy("127.0.0.1", port, None), "a.test", 1, seconds=5, clock=time.monotonic)


def test_proxy_that_says_nothing() -> None:
    """A proxy that takes the connection and says nothing is given up on in time."""
    with answering(b"") as proxy, pytest.raises(ProxyError, match=r"does not answer .time is up"):
        connect_through(proxy, "a.test", 1, seconds=0.2, clock=time.monotonic)


def test_proxy_that_drips() -> None:
    """The limit is on the whole answer, not on each of its bytes."""
    times = iter([0.0, 1.0, 2.0, 3.0, 100.0])
    with answering(b"HTTP/1.1 200 OK\r\n") as proxy, pytest.raises(ProxyError, match=r"does not answer .time is up"):
        connect_through(proxy, "a.test", 1, seconds=20, clock=times.__next__)
