"""How often each endpoint may do something, however often it connects anew. Pure: the caller passes the time."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from latchstring.protocol.token_bucket import TokenBucket

MAX_ENDPOINTS: Final = 50_000


@dataclass(slots=True)
class _Kept:
    bucket: TokenBucket
    full_at: float


class EndpointRates:
    """A token bucket for each endpoint, kept until it is full again, so that a new connection brings no new tokens.

    An endpoint's id is authenticated, so there are no more buckets than endpoints. Beyond ``max_endpoints`` the bucket
    whose last use is longest ago is forgotten.
    """

    def __init__(self, *, rate: float, burst: float, max_endpoints: int = MAX_ENDPOINTS) -> None:
        self._rate = rate
        self._burst = burst
        self._max_endpoints = max_endpoints
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, endpoint_id: str, now: float) -> bool:
        """Take one of the endpoint's tokens at ``now`` (monotonic seconds); False if there is none."""
        kept = self._used(endpoint_id, now)
        kept.full_at = now + self._burst / self._rate
        return kept.bucket.take(now)

    def borrow(self, endpoint_id: str, now: float) -> float:
        """Take one of the endpoint's tokens, in advance if need be; return the seconds to wait before using it."""
        kept = self._used(endpoint_id, now)
        wait = kept.bucket.borrow(now)
        kept.full_at = now + wait + self._burst / self._rate
        return wait

    def _used(self, endpoint_id: str, now: float) -> _Kept:
        self._drop_full(now)
        kept = self._kept.get(endpoint_id)
        if kept is None:
            kept = _Kept(TokenBucket(rate=self._rate, burst=self._burst, now=now), full_at=now)
            self._kept[endpoint_id] = kept
        self._kept.move_to_end(endpoint_id)
        while len(self._kept) > self._max_endpoints:
            self._kept.popitem(last=False)
        return kept

    def _drop_full(self, now: float) -> None:
        # The order is that of the last use; one that is in debt only holds those behind it a little longer.
        while self._kept and next(iter(self._kept.values())).full_at <= now:
            self._kept.popitem(last=False)
