"""How often something may happen: a rate, and a burst above it. Pure: the caller passes the time."""


class TokenBucket:
    """Holds up to ``burst`` tokens, and gets ``rate`` new ones each second."""

    def __init__(self, *, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._updated = now

    def take(self, now: float) -> bool:
        """Take one token at ``now`` (monotonic seconds); False if there is none."""
        self._refill(now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def borrow(self, now: float) -> float:
        """Take one token, in advance if need be, and return the seconds to wait before using it."""
        self._refill(now)
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._rate)

    def _refill(self, now: float) -> None:
        elapsed = max(0.0, now - self._updated)
        self._tokens = min(self._burst, self._tokens + elapsed * self._rate)
        self._updated += elapsed
