"""Connections out, and why there is none, in words for people."""

import socket

import pytest

from http_proxy import http_proxy
from latchstring.endpoint.outbound import connect_outbound, connection_fault
from latchstring.endpoint.proxies import Proxy, parse_proxy
from latchstring.endpoint.proxy_connect import ProxyRefusedError


def straight(_: str) -> Proxy | None:
    """Say that no proxy is set."""
    return None


async def test_nobody_listens() -> None:
    """A refused connection is told with its address, and nothing of how we connect."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ConnectionRefusedError) as caught:
        await connect_outbound("127.0.0.1", port, straight)
    assert (
        connection_fault(caught.value, "127.0.0.1", port) == f"127.0.0.1:{port} cannot be reached: Connection refused"
    )


async def test_no_such_name() -> None:
    """A name that nobody knows is told as that."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 - what it says is looked at below
        await connect_outbound("nowhere.invalid", 8444, straight)
    fault = connection_fault(caught.value, "nowhere.invalid", 8444)
    start = "nowhere.invalid:8444 cannot be reached: "
    assert fault.startswith(start)
    assert len(fault) > len(start)


async def test_the_proxy_says_no() -> None:
    """What a proxy answers is told with whom it was asked for."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address: tuple[str, int] = listener.getsockname()
        with http_proxy(allows=lambda _: False) as proxy, pytest.raises(ProxyRefusedError) as caught:
            await connect_outbound(*address, lambda _: parse_proxy(proxy.url))
    assert "the proxy refuses" in connection_fault(caught.value, *address)


def test_an_error_without_words_is_a_time_out() -> None:
    """What says nothing is a time-out."""
    assert connection_fault(TimeoutError(), "controller.test", 1) == "no answer in time"
