"""What the services of sessions share."""

from dataclasses import dataclass

from latchstring.controller.log.refusals import RefusalLog
from latchstring.controller.log.writer import LogWriter
from latchstring.controller.ports import Bus, Clock, EndpointChannels, Random, SessionRelay
from latchstring.controller.store.store import Store


@dataclass(frozen=True, slots=True)
class SessionDependencies:
    """The store and its logs, and the ways to reach endpoints, the relay, and who waits."""

    store: Store
    writer: LogWriter
    refusals: RefusalLog
    channels: EndpointChannels
    relay: SessionRelay
    bus: Bus
    clock: Clock
    random: Random
