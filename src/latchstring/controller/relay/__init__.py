"""The relay: pairs an engineer's connection with an endpoint's and splices them; it cannot read what it carries."""

from latchstring.controller.relay.counters import RelayCounters
from latchstring.controller.relay.errors import Refusal, RelayBusyError, RelayError, TicketError
from latchstring.controller.relay.limits import RelayLimits
from latchstring.controller.relay.server import Relay, RelayObserver
from latchstring.controller.relay.splice import PairEnding
from latchstring.controller.relay.tickets import Dial

__all__ = [
    "Dial",
    "PairEnding",
    "Refusal",
    "Relay",
    "RelayBusyError",
    "RelayCounters",
    "RelayError",
    "RelayLimits",
    "RelayObserver",
    "TicketError",
]
