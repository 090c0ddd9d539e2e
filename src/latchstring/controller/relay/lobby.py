"""Where connections wait until they have shown a ticket: who is silent, counted by source. Bounded.

When it is full, the connection that has been silent longest makes room for the new one. A stranger who opens
connections and says nothing can so crowd out nobody but those who are as silent, and within their own source first.
"""

import ipaddress
from typing import Final

from latchstring.controller.relay.arrival import Arrival
from latchstring.controller.relay.limits import RelayLimits

_IPV6_NETWORK_BITS: Final = 64


def source_of(address: str) -> str:
    """Return what limits are counted by: an IPv4 address, or an IPv6 /64, of which one host can have every address."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK_BITS), strict=False))


class Lobby:
    """Keeps account of the connections that are not paired: the silent, and those that have shown a ticket."""

    def __init__(self, limits: RelayLimits) -> None:
        self._limits = limits
        self._silent: dict[Arrival, None] = {}  # in the order of arrival
        self._silent_by_source: dict[str, dict[Arrival, None]] = {}
        self._by_source: dict[str, int] = {}
        self._total = 0

    def __len__(self) -> int:
        """The number of connections in the lobby."""
        return self._total

    def is_full(self) -> bool:
        """Whether no further connection fits."""
        return self._total >= self._limits.unpaired

    def is_full_for(self, source: str) -> bool:
        """Whether no further connection from this source fits."""
        return self._by_source.get(source, 0) >= self._limits.unpaired_per_source

    def longest_silent(self, source: str | None = None) -> Arrival | None:
        """Return the connection that has been silent longest, of this source or of all; None if none is silent."""
        silent = self._silent if source is None else self._silent_by_source.get(source, {})
        return next(iter(silent), None)

    def enter(self, arrival: Arrival) -> None:
        """Take in a connection, silent as yet."""
        self._total += 1
        self._by_source[arrival.source] = self._by_source.get(arrival.source, 0) + 1
        self._silent[arrival] = None
        self._silent_by_source.setdefault(arrival.source, {})[arrival] = None

    def has_spoken(self, arrival: Arrival) -> None:
        """The connection is silent no more; it keeps its place."""
        if arrival in self._silent:
            del self._silent[arrival]
            of_source = self._silent_by_source[arrival.source]
            del of_source[arrival]
            if not of_source:
                del self._silent_by_source[arrival.source]

    def leave(self, arrival: Arrival) -> None:
        """The connection is paired or closed."""
        self.has_spoken(arrival)
        self._total -= 1
        self._by_source[arrival.source] -= 1
        if not self._by_source[arrival.source]:
            del self._by_source[arrival.source]
