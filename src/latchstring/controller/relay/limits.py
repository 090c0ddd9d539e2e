"""What the relay allows: everything that a stranger can take of it is bounded here."""

from dataclasses import dataclass
from typing import Final, Self

from latchstring.protocol.dial import ANSWER_SECONDS, TICKET_SECONDS

_DESCRIPTORS_OF_A_PAIR: Final = 6  # two sockets, and a pipe for each direction while both are stalled
_MOST_PAIRS: Final = 4096
_MOST_UNPAIRED: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayLimits:
    """Bounds in connections and seconds.

    Attributes:
        pairs: dials that are under way or relayed at a time.
        pairs_per_session: the same of one session.
        unpaired: connections that have not been paired.
        unpaired_per_source: the same from one IPv4 address or one IPv6 /64.
        answer_seconds: how long a connection may stay unpaired, counted from its start.
        ticket_seconds: how long a ticket can be used.
    """

    pairs: int = _MOST_PAIRS
    pairs_per_session: int = 128
    unpaired: int = _MOST_UNPAIRED
    unpaired_per_source: int = 128
    answer_seconds: float = ANSWER_SECONDS
    ticket_seconds: float = TICKET_SECONDS

    @classmethod
    def within(cls, descriptors: int) -> Self:
        """Return limits for a process that may open ``descriptors`` files, of which the relay takes at most 3/4."""
        return cls(
            pairs=max(1, min(_MOST_PAIRS, descriptors * 5 // 8 // _DESCRIPTORS_OF_A_PAIR)),
            unpaired=max(2, min(_MOST_UNPAIRED, descriptors // 8)),
        )
