"""What the relay counts, for metrics and tests."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from latchstring.controller.relay.errors import Refusal
from latchstring.controller.relay.splice import PairEnding


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayCounters:
    """A reading of the relay's counters.

    Attributes:
        accepted: connections that were accepted, since the start.
        paired: pairs that were made, since the start.
        refused: connections turned away, by reason.
        timed_out: connections closed because they were silent, or the other side did not come.
        left: connections that went away by themselves before they were paired.
        closed: pairs that have ended, by how they did.
        accept_pauses: how often accepting stopped for a moment because the process was out of descriptors.
        unpaired: connections that are not paired now.
        pairs: pairs that are relayed now.
        bytes_from_engineer: bytes delivered to endpoints, of the pairs that are open too.
        bytes_from_endpoint: bytes delivered to engineers, of the pairs that are open too.
    """

    accepted: int
    paired: int
    refused: Mapping[Refusal, int]
    timed_out: int
    left: int
    closed: Mapping[PairEnding, int]
    accept_pauses: int
    unpaired: int
    pairs: int
    bytes_from_engineer: int
    bytes_from_endpoint: int


@dataclass(slots=True)
class Tally:
    """The counters as they are counted; bytes are those of closed pairs."""

    accepted: int = 0
    paired: int = 0
    refused: Counter[Refusal] = field(default_factory=Counter)
    timed_out: int = 0
    left: int = 0
    closed: Counter[PairEnding] = field(default_factory=Counter)
    accept_pauses: int = 0
    bytes_from_engineer: int = 0
    bytes_from_endpoint: int = 0

    def reading(
        self, *, unpaired: int, pairs: int, open_bytes_from_engineer: int, open_bytes_from_endpoint: int
    ) -> RelayCounters:
        """Return the counters, with what is open now."""
        return RelayCounters(
            accepted=self.accepted,
            paired=self.paired,
            refused=MappingProxyType(dict(self.refused)),
            timed_out=self.timed_out,
            left=self.left,
            closed=MappingProxyType(dict(self.closed)),
            accept_pauses=self.accept_pauses,
            unpaired=unpaired,
            pairs=pairs,
            bytes_from_engineer=self.bytes_from_engineer + open_bytes_from_engineer,
            bytes_from_endpoint=self.bytes_from_endpoint + open_bytes_from_endpoint,
        )
