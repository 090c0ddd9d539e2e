"""Who may hold how many connections: a total, and a share for each source, so that no stranger can take them all."""

import ipaddress
from collections import Counter
from dataclasses import dataclass
from typing import Final

_IPV6_SITE_PREFIX: Final = 64


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """How many connections there may be at once."""

    total: int
    per_source: int


class Admission:
    """Counts what is open. Pure: no clock, no sockets."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self._limits = limits
        self._open: Counter[str] = Counter()
        self._total = 0

    @property
    def total(self) -> int:
        """How many are open."""
        return self._total

    def enter(self, source: str) -> bool:
        """Count one more from ``source``, an IP address; False, and not counted, if that would be too many."""
        site = site_of(source)
        if self._total >= self._limits.total or self._open[site] >= self._limits.per_source:
            return False
        self._open[site] += 1
        self._total += 1
        return True

    def leave(self, source: str) -> None:
        """Count one fewer from ``source``."""
        site = site_of(source)
        self._open[site] -= 1
        self._total -= 1
        if self._open[site] <= 0:
            del self._open[site]


def site_of(source: str) -> str:
    """Return what counts as one source: an IPv4 address, or the /64 of an IPv6 address, which one customer holds."""
    try:
        address = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return source
    if isinstance(address, ipaddress.IPv4Address):
        return source
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_SITE_PREFIX), strict=False))


def source_of(peer: object) -> str:
    """Return the IP address in a socket's peer name, without a zone; mapped IPv4 as IPv4."""
    host = peer[0] if isinstance(peer, tuple) and peer else ""
    try:
        address = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return "0.0.0.0"  # noqa: S104 - the source of a connection that is gone already; nothing is bound to it
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
