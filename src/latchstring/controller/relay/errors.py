"""What can go wrong with a dial at the relay.

::

    RelayError
    ├── RelayBusyError      no further ticket is issued for now
    └── TicketError         a preamble that no ticket stands behind; carries the refusal that is counted
"""

from enum import StrEnum


class Refusal(StrEnum):
    """Why a connection was turned away before it was paired. Counted, and never told to the stranger."""

    NOT_A_PREAMBLE = "not_a_preamble"
    UNKNOWN_DIAL = "unknown_dial"
    FORGED = "forged"
    USED = "used"
    EXPIRED = "expired"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    TOO_MANY_FROM_SOURCE = "too_many_from_source"
    SESSION_CUT = "session_cut"
    CLOSING = "closing"


class RelayError(Exception):
    """The relay cannot do this."""


class RelayBusyError(RelayError):
    """So many dials are under way, for this session or in all, that no further ticket is issued."""


class TicketError(RelayError):
    """No usable ticket stands behind a preamble."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal
