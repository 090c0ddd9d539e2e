"""How many offers are taken up, whatever a controller sends."""

import logging
from typing import Final

from latchstring.endpoint.clock import Clock
from latchstring.protocol.offer_rate import OFFER_BURST, SECONDS_PER_OFFER
from latchstring.protocol.token_bucket import TokenBucket

WARNING_SECONDS: Final = 60.0
"""The shortest time between two warnings about offers that were dropped."""

_log = logging.getLogger(__name__)


class OfferLimit:
    """Counts offers for as long as the agent runs: a new connection brings no new tokens."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bucket = TokenBucket(rate=1 / SECONDS_PER_OFFER, burst=OFFER_BURST, now=clock.monotonic())
        self._dropped = 0
        self._warned_at: float | None = None

    def admit(self) -> bool:
        """Count an offer, and return whether it may be taken up."""
        now = self._clock.monotonic()
        if self._bucket.take(now):
            return True
        self._dropped += 1
        if self._warned_at is None or now - self._warned_at >= WARNING_SECONDS:
            _log.warning("the controller offers too many sessions: %d dropped without an answer", self._dropped)
            self._warned_at, self._dropped = now, 0
        return False
