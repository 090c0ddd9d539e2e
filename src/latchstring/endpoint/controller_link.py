"""What the connection to the controller means for sessions: offers, endings and dials come in; without it they end."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from latchstring import __version__
from latchstring.endpoint.clock import Clock
from latchstring.endpoint.journal.journal import Journal
from latchstring.endpoint.lifecycle import Lifecycle
from latchstring.protocol.access import AccessMode
from latchstring.protocol.endings import Reason
from latchstring.protocol.messages import PROTOCOL_VERSIONS, DialRelay, EndSession, Hello, Offer, Withdraw
from latchstring.protocol.times import format_time

_log = logging.getLogger(__name__)


class Dial(Protocol):
    """Carries out a dial, in a task of its own."""

    def __call__(self, message: DialRelay, /) -> None:
        """Begin it."""


class ControllerLink:
    """The endpoint's side of what is said on the control channel. Satisfies ``ChannelUser`` of ``control_channel``.

    Args:
        lifecycle: requests and sessions.
        journal: its size is part of the introduction.
        mode: asks the switch.
        dial: carries out dials.
        grace_seconds: how long sessions outlive the connection.
        clock: its wall side is part of the introduction, so that the controller can name the skew.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        journal: Journal,
        *,
        mode: Callable[[], AccessMode],
        dial: Dial,
        grace_seconds: int,
        clock: Clock,
    ) -> None:
        self._lifecycle = lifecycle
        self._journal = journal
        self._mode = mode
        self._dial = dial
        self._grace_seconds = grace_seconds
        self._lost_at = 0.0
        self._clock = clock
        self._grace: asyncio.TimerHandle | None = None

    def hello(self) -> Hello:
        """Return how the endpoint introduces itself now."""
        return Hello(
            versions=PROTOCOL_VERSIONS,
            agent_version=__version__,
            time=format_time(self._clock.now()),
            access=self._mode(),
            journal_size=self._journal.size,
            live_sessions=self._lifecycle.sessions.ids(),
        )

    def has_live_sessions(self) -> bool:
        """Return whether somebody is working here."""
        return len(self._lifecycle.sessions) > 0

    def welcomed(self) -> None:
        """The connection is up: sessions live on."""
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def lost(self) -> None:
        """The connection is gone: sessions have a little time."""
        self.welcomed()
        loop = asyncio.get_running_loop()
        self._lost_at = loop.time()
        self._grace = loop.call_later(self._grace_seconds, self._give_up)

    def set_grace(self, seconds: int) -> None:
        """Let sessions outlive the connection for so long, also one that is gone already."""
        self._grace_seconds = seconds
        if self._grace is not None:
            self._grace.cancel()
            self._grace = asyncio.get_running_loop().call_at(self._lost_at + seconds, self._give_up)

    def revoked(self) -> None:
        """The controller no longer knows this endpoint: its sessions end at once."""
        self._lifecycle.end_all(Reason.ENDPOINT_REVOKED)

    def receive(self, message: Offer | Withdraw | EndSession | DialRelay) -> None:
        """Do what the controller wants, as far as the customer lets it."""
        match message:
            case Offer():
                self._lifecycle.offer(message.offer)
            case Withdraw():
                self._lifecycle.withdraw(message.session_id, message.reason)
            case EndSession():
                self._lifecycle.withdraw(message.session_id, message.reason)
            case DialRelay():
                self._dial(message)

    def close(self) -> None:
        """Forget the timer."""
        self.welcomed()

    def _give_up(self) -> None:
        self._grace = None
        if self.has_live_sessions():
            _log.warning("the controller has been gone for %d s: ending the sessions", self._grace_seconds)
        self._lifecycle.end_all(Reason.CONTROLLER_UNREACHABLE)
