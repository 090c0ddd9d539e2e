"""Limits failed sign-ins: a sliding window for each account, and one for each source. Pure, in bounded memory."""

import hashlib
import ipaddress
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

WINDOW_SECONDS: Final = 15 * 60.0
MAX_FOR_ACCOUNT: Final = 10
MAX_FOR_SOURCE: Final = 30
MAX_KEYS: Final = 20_000
MAX_USUAL_SOURCES: Final = 20_000

_IPV6_SITE_BITS: Final = 64


class Hearing(Enum):
    """Whether an attempt to sign in is heard."""

    HEARD = "heard"
    BLOCKED = "blocked"
    BLOCKED_AGAIN = "blocked_again"


@dataclass(slots=True)
class _Failures:
    times: deque[float] = field(default_factory=deque)
    told: bool = False


class FailedAttempts:
    """Failures of the last :data:`WINDOW_SECONDS`, by the monotonic clock.

    An account counts whether it exists or not, so that being limited tells nothing. When there are too many keys, the
    one whose last failure is longest ago is forgotten.

    The account's limit does not hold for a source that signed in to it before: a stranger who fails for somebody else
    does not keep them out of their usual place. What happens there counts for the source alone. Of usual sources too,
    the one whose last sign-in is longest ago is forgotten when there are too many.
    """

    def __init__(self, *, max_keys: int = MAX_KEYS, max_usual_sources: int = MAX_USUAL_SOURCES) -> None:
        self._max_keys = max_keys
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._max_usual_sources = max_usual_sources
        self._usual_sources: OrderedDict[tuple[str, str], None] = OrderedDict()

    def begin(self, email: str, source: str, now: float) -> Hearing:
        """Say whether an attempt is heard, and count it as failed until :meth:`succeeded` says otherwise.

        Counting beforehand keeps attempts at the same moment within the limits. An attempt that is not heard does not
        count. ``BLOCKED`` is said once in a while for each limit that is reached, ``BLOCKED_AGAIN`` after that.
        """
        keys = [(_source(source), MAX_FOR_SOURCE)]
        if (_account(email), _source(source)) not in self._usual_sources:
            keys.append((_account(email), MAX_FOR_ACCOUNT))
        full = [found for key, most in keys if len((found := self._recent(key, now)).times) >= most]
        if full:
            first = not all(found.told for found in full)
            for found in full:
                found.told = True
            return Hearing.BLOCKED if first else Hearing.BLOCKED_AGAIN
        for key, _ in keys:
            found = self._recent(key, now)
            found.times.append(now)
            found.told = False
            self._failures[key] = found
            self._failures.move_to_end(key)
        while len(self._failures) > self._max_keys:
            self._failures.popitem(last=False)
        return Hearing.HEARD

    def succeeded(self, email: str, source: str) -> None:
        """Take back an attempt that succeeded. The source's other failures stay.

        The account's are forgotten when it is the first sign-in from the source; from a usual source they stay, because
        they are a stranger's.
        """
        usual = (_account(email), _source(source))
        if usual not in self._usual_sources:
            self._failures.pop(_account(email), None)
        self._usual_sources[usual] = None
        self._usual_sources.move_to_end(usual)
        while len(self._usual_sources) > self._max_usual_sources:
            self._usual_sources.popitem(last=False)
        at_source = self._failures.get(_source(source))
        if at_source is not None and at_source.times:
            at_source.times.pop()

    def _recent(self, key: str, now: float) -> _Failures:
        found = self._failures.get(key) or _Failures()
        while found.times and found.times[0] <= now - WINDOW_SECONDS:
            found.times.popleft()
        return found


def _account(email: str) -> str:
    return "account " + hashlib.sha256(email.encode()).hexdigest()


def _source(source: str) -> str:
    """Return the key of a source: an IPv4 address, or the /64 that an IPv6 address belongs to."""
    address = ipaddress.ip_address(source)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return f"source {address.ipv4_mapped}"
        return f"source {ipaddress.ip_network((address, _IPV6_SITE_BITS), strict=False)}"
    return f"source {address}"
