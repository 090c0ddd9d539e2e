"""What the controller's services need from outside, each with its promise: an adapter keeps it, a fake in tests too.

Everything here is for one controller process. Past one machine, the bus and the channels reach other nodes behind the
same protocols.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from latchstring.protocol.messages import FromController, Goodbye

Random = Callable[[int], bytes]
"""Returns so many bytes from a cryptographic source."""


class Clock(Protocol):
    """The time. It never raises."""

    def now(self) -> datetime:
        """Return the wall clock's time, aware, in UTC. It may jump either way."""

    def monotonic(self) -> float:
        """Return seconds since some moment before the process started. It never goes back."""


class EndpointChannels(Protocol):
    """The endpoints' control channels, as far as the services may touch them."""

    def is_connected(self, endpoint_id: str) -> bool:
        """Return whether the endpoint has a channel that was welcomed and not yet given up."""

    def send(self, endpoint_id: str, message: FromController) -> bool:
        """Queue a message; False if there is no channel, or its queue is full and it was given up.

        Messages to one endpoint arrive in the order in which they were queued, or their channel dies. True promises no
        delivery. It never blocks and never raises for what the endpoint does.
        """

    def close(self, endpoint_id: str, goodbye: Goodbye) -> None:
        """Queue a goodbye and the channel's end behind what is queued; nothing happens if there is no channel."""


class IssuedDial(Protocol):
    """A dial that the relay waits for. A secret admits one side, once, for 15 s."""

    @property
    def dial_id(self) -> str:
        """The dial's id."""

    @property
    def engineer_secret(self) -> bytes:
        """The engineer's 32 bytes."""

    @property
    def endpoint_secret(self) -> bytes:
        """The endpoint's 32 bytes."""


class SessionRelay(Protocol):
    """The relay, as far as the services may touch it."""

    def issue(self, session_id: str) -> IssuedDial:
        """Expect both sides of one connection.

        Raises:
            RelayBusyError: so many dials are expected already that no more fit.
        """

    def cut(self, session_id: str) -> None:
        """Close every connection of the session and void its dials: on return not a byte more is passed on.

        It never raises, and cutting what is not there does nothing.
        """


class Subscription(Protocol):
    """Changes of one session since the subscription began."""

    async def wait(self, seconds: float) -> bool:
        """Wait for a change since the start or since the last wait; False if there is none within ``seconds``."""


class Bus(Protocol):
    """Tells who waits that a session changed. It carries no state: who is woken reads the store."""

    def publish(self, session_id: str) -> None:
        """Wake every subscription of the session. It never blocks and never raises."""

    def subscribe(self, session_id: str) -> AbstractContextManager[Subscription]:
        """Subscribe. No change after this call is missed; two changes before a wait may count as one."""
