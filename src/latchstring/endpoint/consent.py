"""Requests that wait for the customer's answer, and the one rule for answers that race: the first takes the request.

Whoever decides *takes* the request out of the table in one step without a wait, so that of a yes, a no, a withdrawal,
a lapse and the switch exactly one decides. What comes after a yes that is still being carried out (its sandbox starts,
its grant is being written) is kept in the request as a reason to stop, and the one that carries it out obeys.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from latchstring.endpoint.errors import UsageFaultError
from latchstring.endpoint.policy.decision import Allowed
from latchstring.protocol.durations import format_duration
from latchstring.protocol.endings import Reason
from latchstring.protocol.grants import Offer

MAX_WAITING: Final = 64


@dataclass(slots=True)
class Request:
    """An offer without a decision, or whose yes is being carried out.

    Attributes:
        offer: what was asked for.
        engineer_key: the fingerprint of the key that it is asked for with.
        allowed: what may be granted of it.
        received_at: wall clock, for people.
        lapses_at: monotonic.
        shown: whether the question is in the journal, so that it may be answered.
        stop: why it must not be opened, however far it has come; the first reason stays.
    """

    offer: Offer
    engineer_key: str
    allowed: Allowed
    received_at: datetime
    lapses_at: float
    shown: bool = False
    stop: Reason | None = field(default=None)

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self.offer.session_id

    def stop_for(self, reason: Reason) -> None:
        """Make sure that nothing comes of this request."""
        if self.stop is None:
            self.stop = reason


class WaitingRequests:
    """The requests of an endpoint: those that wait, and those whose yes is being carried out."""

    def __init__(self) -> None:
        self._waiting: dict[str, Request] = {}
        self._opening: dict[str, Request] = {}

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._waiting or session_id in self._opening

    @property
    def is_full(self) -> bool:
        """Whether one more would be too many."""
        return len(self._waiting) + len(self._opening) >= MAX_WAITING

    @property
    def opening(self) -> int:
        """How many are being opened."""
        return len(self._opening)

    def add(self, request: Request) -> None:
        """Let a request wait."""
        self._waiting[request.session_id] = request

    def shown(self) -> list[Request]:
        """Return those that can be answered, oldest first."""
        return [request for request in self._waiting.values() if request.shown]

    def take(self, session_id: str) -> Request | None:
        """Take a request that waits, to refuse it; None if it does not wait (any more)."""
        return self._waiting.pop(session_id, None)

    def take_to_open(self, session_id: str) -> Request | None:
        """Take a request that waits, to open it; :meth:`opened` is due when that has come to its end."""
        request = self._waiting.pop(session_id, None)
        if request is not None:
            self._opening[session_id] = request
        return request

    def opening_before(self, request: Request) -> int:
        """Return how many requests are being opened that were begun before this one."""
        return list(self._opening).index(request.session_id)

    def opened(self, request: Request) -> None:
        """Forget a request that was opened, or could not be."""
        self._opening.pop(request.session_id, None)

    def take_all(self) -> list[Request]:
        """Take every request that waits, to refuse it."""
        taken = list(self._waiting.values())
        self._waiting.clear()
        return taken

    def take_lapsed(self, monotonic: float) -> list[Request]:
        """Take the requests that nobody answered in time."""
        lapsed = [request for request in self._waiting.values() if request.lapses_at <= monotonic]
        for request in lapsed:
            del self._waiting[request.session_id]
        return lapsed

    def next_lapse(self) -> float | None:
        """Return when the next request lapses."""
        return min((request.lapses_at for request in self._waiting.values()), default=None)

    def stop(self, session_id: str, reason: Reason) -> Request | None:
        """Stop a request whose yes is being carried out, and return it; None if it is not."""
        request = self._opening.get(session_id)
        if request is not None:
            request.stop_for(reason)
        return request

    def stop_all(self, reason: Reason) -> None:
        """Stop every request whose yes is being carried out."""
        for request in self._opening.values():
            request.stop_for(reason)


def narrow(allowed: Allowed, *, capabilities: tuple[str, ...] | None, duration_seconds: int | None) -> Allowed:
    """Return what the customer gives: ``allowed``, or a part of it.

    Raises:
        UsageFaultError: it would be more.
    """
    chosen = allowed.capabilities if capabilities is None else tuple(sorted(set(capabilities)))
    extra = sorted(set(chosen) - set(allowed.capabilities))
    if extra or not chosen:
        possible = ",".join(allowed.capabilities)
        raise UsageFaultError(f"{','.join(extra) or 'nothing'} cannot be granted here; --allow can name {possible}")
    seconds = allowed.duration_seconds if duration_seconds is None else duration_seconds
    if seconds > allowed.duration_seconds:
        most = format_duration(allowed.duration_seconds)
        raise UsageFaultError(f"{format_duration(seconds)} is longer than can be granted here; at most {most}")
    return Allowed(chosen, seconds)
