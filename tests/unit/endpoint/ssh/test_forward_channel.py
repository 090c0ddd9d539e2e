"""Which service a forward means."""

import pytest

from latchstring.endpoint.ssh.forward_channel import find_service
from latchstring.endpoint.ssh.ports import ANY_PORT, ChannelRefusal, RefusedError, Service

SERVICES = {"webadmin": Service("127.0.0.1", 8088), "db": Service("localhost", 5432)}


@pytest.mark.parametrize(
    ("host", "port", "name"),
    [
        ("webadmin", 0, "webadmin"),
        ("webadmin", 99, "webadmin"),
        ("127.0.0.1", 8088, "webadmin"),
        ("localhost", 5432, "db"),
    ],
)
def test_a_service_is_found(host: str, port: int, name: str) -> None:
    """By its name with any port, or by exactly its address."""
    assert find_service(SERVICES, host, port) == (name, SERVICES[name])


@pytest.mark.parametrize(
    ("host", "port", "found"),
    [
        ("127.0.0.1", 3000, ("dev", Service("127.0.0.1", 3000, every_port=True))),
        ("localhost", 3000, ("dev", Service("127.0.0.1", 3000, every_port=True))),
        ("dev", 3000, ("dev", Service("127.0.0.1", 3000, every_port=True))),
        ("127.0.0.1", 8088, ("webadmin", Service("127.0.0.1", 8088))),
    ],
)
def test_every_port_by_an_explicit_word(host: str, port: int, found: tuple[str, Service]) -> None:
    """A service that is every port of the machine has the port that was asked for; one with a port of its own first."""
    assert find_service({**SERVICES, "dev": Service("127.0.0.1", ANY_PORT)}, host, port) == found


@pytest.mark.parametrize("host", ["::1", "10.0.0.1", "example.test", ""])
def test_every_port_of_this_machine_only(host: str) -> None:
    """Every port is every port of that host, and of no other."""
    with pytest.raises(RefusedError):
        find_service({"dev": Service("127.0.0.1", ANY_PORT)}, host, 3000)


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 8089), ("127.0.0.1", 0), ("localhost", 8088), ("", 8088), ("WEBADMIN", 8088)]
)
def test_anything_else_is_refused(host: str, port: int) -> None:
    """Another port, another spelling or another host is no service, and the answer lists none."""
    with pytest.raises(RefusedError) as raised:
        find_service(SERVICES, host, port)
    assert raised.value.reason is ChannelRefusal.UNKNOWN_SERVICE
    assert "webadmin" not in raised.value.text
