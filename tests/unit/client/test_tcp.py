"""TCP connections out of here, and which proxy leads where."""

import os
import socket
import time
from urllib.request import getproxies_environment, proxy_bypass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latchstring.client.tcp import authority, connect_straight, find_proxy_url, open_connection

NAMES = ("https_proxy", "HTTPS_PROXY", "Https_Proxy", "no_proxy", "NO_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
HOSTS = ("relay.test", "a.relay.test", "arelay.test", "RELAY.test", "10.0.0.1", "localhost")
EXCEPTIONS = st.lists(
    st.sampled_from(["relay.test", ".relay.test", "*", "test", "10.0.0.1", "0.0.1", "Relay.TEST", ""])
)


def their_answer(host: str) -> str | None:
    """Return what ``urllib.request`` says of this process's environment."""
    url = getproxies_environment().get("https")
    return None if not url or proxy_bypass(host) else url


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    proxies=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["", "http://a.test:1", "b.test:2"])),
    exceptions=st.dictionaries(st.sampled_from(["no_proxy", "NO_PROXY"]), EXCEPTIONS.map(", ".join)),
    host=st.sampled_from(HOSTS),
)
def test_rules_are_those_of_urllib(
    monkeypatch: pytest.MonkeyPatch, proxies: dict[str, str], exceptions: dict[str, str], host: str
) -> None:
    """Whatever the environment says of proxies, it means here what it means to Python's own library."""
    with monkeypatch.context() as patch:
        for name in NAMES:
            patch.delenv(name, raising=False)
        for name, value in {**proxies, **exceptions}.items():
            patch.setenv(name, value)
        assert find_proxy_url(os.environ, host) == their_answer(host)


@pytest.mark.parametrize(("host", "text"), [("a.test", "a.test:1"), ("::1", "[::1]:1"), ("10.0.0.1", "10.0.0.1:1")])
def test_authority(host: str, text: str) -> None:
    """Only an address with colons needs brackets."""
    assert authority(host, 1) == text


def test_other_addresses_are_tried() -> None:
    """A host whose first address refuses is reached at the next."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with open_connection("localhost", port, environment={}, seconds=5, clock=time.monotonic) as connection:
            assert connection.getpeername()[0] == "127.0.0.1"
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("host", ["a..test", "a" * 64 + ".test", "é" * 60])
def test_name_that_cannot_be(host: str) -> None:
    """A name that cannot be looked up at all is an error like any other, also from the controller."""
    with pytest.raises(OSError, match="no host of that name"):
        connect_straight(host, 1, 1)


def test_addresses_share_the_time(monkeypatch: pytest.MonkeyPatch, full_backlog: int) -> None:
    """However many addresses a host has, it takes no longer to find that none answers."""
    address = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", full_backlog))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: [address] * 5)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        connect_straight("relay.test", full_backlog, 0.5)
    assert time.monotonic() - started < 2
