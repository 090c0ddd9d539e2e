"""The relay's address as text, and in comparison."""

import pytest

from latchstring.endpoint.relay_address import RelayAddress


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("Relay.example.test:7022", "relay.example.test", 7022), ("[2001:db8::1]:1", "2001:db8::1", 1)],
)
def test_addresses(text: str, host: str, port: int) -> None:
    """A name or an IP address with a port is one, and stands for no other."""
    address = RelayAddress.parse(text)
    assert address.is_at(host, port)
    assert not address.is_at(host, port + 1)
    assert not address.is_at(f"x{host}", port)


@pytest.mark.parametrize("text", ["", "host", ":7022", "host:", "host:0", "host:65536", "host:x", "::1:7022", "[]:1"])
def test_no_addresses(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="not the address of a relay"):
        RelayAddress.parse(text)
