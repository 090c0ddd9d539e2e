"""How often each endpoint, account or source may do something. Pure: the caller passes the time."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from latchstring.protocol.token_bucket import TokenBucket

MAX_KEYS: Final = 50_000


@dataclass(slots=True)
class _Kept:
    bucket: TokenBucket
    full_at: float


class KeyedRates:
    """A token bucket for each key, kept until it is full again, so that a new connection brings no new tokens.

    Beyond ``max_keys`` the bucket whose last use is longest ago is forgotten; where a stranger chooses the key,
    something else has to bound all of them together.
    """

    def __init__(self, *, rate: float, burst: float, max_keys: int = MAX_KEYS) -> None:
        self._rate = rate
        self._burst = burst
        self._max_keys = max_keys
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, key: str, now: float) -> bool:
        """Take one of the key's tokens at ``now`` (monotonic seconds); False if there is none."""
        kept = self._used(key, now)
        kept.full_at = now + self._burst / self._rate
        return kept.bucket.take(now)

    def borrow(self, key: str, now: float) -> float:
        """Take one of the key's tokens, in advance if need be; return the seconds to wait before using it."""
        kept = self._used(key, now)
        wait = kept.bucket.borrow(now)
        kept.full_at = now + wait + self._burst / self._rate
        return wait

    def _used(self, key: str, now: float) -> _Kept:
        self._drop_full(now)
        kept = self._kept.get(key)
        if kept is None:
            kept = _Kept(TokenBucket(rate=self._rate, burst=self._burst, now=now), full_at=now)
            self._kept[key] = kept
        self._kept.move_to_end(key)
        while len(self._kept) > self._max_keys:
            self._kept.popitem(last=False)
        return kept

    def _drop_full(self, now: float) -> None:
        # The order is that of the last use; one that is in debt only holds those behind it a little longer.
        while self._kept and next(iter(self._kept.values())).full_at <= now:
            self._kept.popitem(last=False)
