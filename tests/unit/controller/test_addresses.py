"""Tests of addresses as administrators write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.controller.addresses import Address, parse_address, parse_name


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8443", Address("127.0.0.1", 8443)),
        ("Support.Example.Test:1", Address("support.example.test", 1)),
        ("[::1]:443", Address("::1", 443)),
        ("[0:0:0:0:0:0:0:0]:0", Address("::", 0)),
    ],
)
def test_parse(text: str, address: Address) -> None:
    """What can be written is read, in one form."""
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8443",
        "host",
        "host:",
        ":8443",
        "host:65536",
        "::1:443",
        "[127.0.0.1]:1",
        "a b:1",
        "-a:1",
        "a..b:1",
        "h:1\n",
    ],
)
def test_refused(text: str) -> None:
    """What is no address is refused."""
    with pytest.raises(ValueError, match=r"address|host name"):
        parse_address(text)


@given(st.text(max_size=40))
def test_garbage(text: str) -> None:
    """No text makes the parser fail otherwise than with a ValueError."""
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "wildcard", "loopback"),
    [("0.0.0.0:1", True, False), ("[::]:1", True, False), ("127.8.0.1:1", False, True), ("name:1", False, False)],
)
def test_kinds(text: str, wildcard: bool, loopback: bool) -> None:  # noqa: FBT001 - columns of a table
    """Wildcards and loopback addresses are told apart from others."""
    address = parse_address(text)
    assert (address.is_wildcard, address.is_loopback) == (wildcard, loopback)


@pytest.mark.parametrize("text", ["", "bad name", "a+b", "x" * 64, "a/b"])
def test_names_that_are_none(text: str) -> None:
    """A name that no certificate could hold is refused."""
    with pytest.raises(ValueError, match="cannot name a controller"):
        parse_name(text)
