"""Addresses as administrators write them: ``HOST:PORT``, IPv6 in brackets. Standard library only."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

MAX_PORT: Final = 65535
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_ADDRESS: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:\s]+)):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """A host (a name, or an IP address without brackets) and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_wildcard(self) -> bool:
        """Whether this listens on every interface, and so names no host that others could dial."""
        return _ip(self.host) is not None and ipaddress.ip_address(self.host).is_unspecified

    @property
    def is_loopback(self) -> bool:
        """Whether this is an IP address that only this machine can reach."""
        return _ip(self.host) is not None and ipaddress.ip_address(self.host).is_loopback


def parse_address(text: str) -> Address:
    """Return the address in ``HOST:PORT`` or ``[IPV6]:PORT``.

    Raises:
        ValueError: it is none.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > MAX_PORT:
        raise ValueError(f"{text[:80]!r} is not an address; write HOST:PORT, such as 0.0.0.0:8443 or [::]:8443")
    return Address(_check_host(match["six"] or match["host"], six=match["six"] is not None), int(match["port"]))


def parse_name(text: str) -> str:
    """Return ``text`` if it can be a controller's name: a DNS name or an IP address.

    Raises:
        ValueError: it is neither.
    """
    if _ip(text) is not None or _HOST_NAME.fullmatch(text):
        return text.lower()
    raise ValueError(f"{text[:80]!r} cannot name a controller; use the DNS name under which people reach it")


def _check_host(host: str, *, six: bool) -> str:
    parsed = _ip(host)
    if six and not isinstance(parsed, ipaddress.IPv6Address):
        raise ValueError(f"{host[:80]!r} is not an IPv6 address")
    if parsed is not None:
        return str(parsed)
    if _HOST_NAME.fullmatch(host):
        return host.lower()
    raise ValueError(f"{host[:80]!r} is neither a host name nor an IP address")


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
