"""URLs of controllers."""

import pytest

from latchstring.client.address import Address, parse_url
from latchstring.client.errors import UsageFaultError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://support.example.test", Address("support.example.test", 443)),
        ("https://support.example.test:8443/", Address("support.example.test", 8443)),
        ("https://127.0.0.1:8443", Address("127.0.0.1", 8443)),
        ("https://[::1]:8443", Address("::1", 8443)),
    ],
)
def test_url(text: str, address: Address) -> None:
    """A URL of host and port is understood, and written the same way again."""
    assert parse_url(text) == address
    assert parse_url(address.url) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "support.example.test:8443",
        "http://support.example.test",
        "https://",
        "https://user@support.example.test",
        "https://support.example.test/path",
        "https://support.example.test/?query",
        "https://support.example.test:99999",
        "https://support.example.test:0",
        "https://sup port",
        "https://[::1",
    ],
)
def test_no_url(text: str) -> None:
    """Anything else is a usage error."""
    with pytest.raises(UsageFaultError, match="is not a controller's URL"):
        parse_url(text)
