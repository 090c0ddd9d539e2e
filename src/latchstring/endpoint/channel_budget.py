"""How many channels and connections the sessions of this machine may open.

Each leaves statements in the journal, on the customer's disk, which the controller takes at a bounded rate
(``controller/channels``). Without a limit here one engineer could fill that disk, and hold up for hours what the vendor
hears of everybody's grants and endings. It is generous: a long Ansible run opens a few channels each second.
"""

import logging
from typing import Final

from latchstring.endpoint.clock import Clock
from latchstring.protocol.token_bucket import TokenBucket

MACHINE_BURST: Final = 2000.0
MACHINE_RATE: Final = 2.0
SESSION_BURST: Final = 1000.0
SESSION_RATE: Final = 1.5
_WARNING_SECONDS: Final = 60.0

_log = logging.getLogger(__name__)


class MachineBudget:
    """What all sessions share, for as long as the agent runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bucket = TokenBucket(rate=MACHINE_RATE, burst=MACHINE_BURST, now=clock.monotonic())

    def for_session(self, session_id: str) -> "ChannelBudget":
        """Return the share of a new session."""
        return ChannelBudget(session_id, self._clock, self._bucket)


class ChannelBudget:
    """One session's share. Made by :meth:`MachineBudget.for_session`."""

    def __init__(self, session_id: str, clock: Clock, shared: TokenBucket) -> None:
        self._session_id = session_id
        self._clock = clock
        self._shared = shared
        self._bucket = TokenBucket(rate=SESSION_RATE, burst=SESSION_BURST, now=clock.monotonic())
        self._warned_at: float | None = None

    def take(self) -> bool:
        """Count one channel or connection, and return whether it may be."""
        now = self._clock.monotonic()
        # Its own share first, so that a session that exceeds it takes nothing from the others.
        if self._bucket.take(now) and self._shared.take(now):
            return True
        if self._warned_at is None or now - self._warned_at >= _WARNING_SECONDS:
            _log.warning("session %s opens channels and connections too often: more are refused", self._session_id)
            self._warned_at = now
        return False
