"""Logs refusals, as many as the logs can bear. What is beyond that is counted, and the counts are logged.

An entry is durable and never goes away, and whoever can be refused can have it done as often as they like: a stranger
at the door, an engineer's program in a loop. So for each kind of refusal everybody has a burst of entries and then one
in a while, and so have all together. Everybody is an account that is signed in, and else a source: a failed sign-in
costs the same, and takes as long to answer, whether there is such an account or not.

The counts go into the vendor's own log, one entry for each kind and account, when a window closes, or at the
controller's stop. A crash takes the counts of its window with it, never an entry.
"""

from dataclasses import dataclass
from typing import Final

from latchstring.controller.https.admission import site_of
from latchstring.controller.keyed_rates import KeyedRates
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.controller.log.writer import MAX_NEW_ENTRIES, LogWriter
from latchstring.controller.store.store import Store
from latchstring.protocol.events import (
    EndpointEnrolmentRefused,
    LoginFailed,
    PermissionDenied,
    RefusalsCounted,
    SessionDialRefused,
    SessionRequestRefused,
)
from latchstring.protocol.token_bucket import TokenBucket

ENTRY_BURST: Final = 60.0
SECONDS_PER_ENTRY: Final = 30.0
ENTRY_BURST_OF_ALL: Final = 300.0
SECONDS_PER_ENTRY_OF_ALL: Final = 3.0
WINDOW_SECONDS: Final = 600.0

Refusal = EndpointEnrolmentRefused | LoginFailed | PermissionDenied | SessionRequestRefused | SessionDialRefused


@dataclass(frozen=True, slots=True)
class _Kind:
    """What has counts of its own."""

    type: str
    account_id: str | None


@dataclass(slots=True)
class _Count:
    number: int
    since: float


class _Budget:
    """How many entries a kind of refusal may leave. Pure."""

    def __init__(self, now: float) -> None:
        self._of_one = KeyedRates(rate=1 / SECONDS_PER_ENTRY, burst=ENTRY_BURST)
        self._of_all = TokenBucket(rate=1 / SECONDS_PER_ENTRY_OF_ALL, burst=ENTRY_BURST_OF_ALL, now=now)

    def take(self, key: str, now: float) -> bool:
        # Its own first: who has used that up takes nothing of what all share.
        return self._of_one.take(key, now) and self._of_all.take(now)


class RefusalLog:
    """Logs and counts the refusals of one controller."""

    def __init__(self, store: Store, writer: LogWriter) -> None:
        self._store = store
        self._writer = writer
        self._budgets: dict[str, _Budget] = {}
        self._counts: dict[_Kind, _Count] = {}

    async def record(self, log_id: str, refusal: Refusal) -> bool:
        """Log a refusal, durably on return; False if it was counted only.

        Raises:
            StoreUnavailableError: the log cannot be written now.
        """
        now = self._writer.clock.monotonic()
        budget = self._budgets.get(refusal.type)
        if budget is None:
            budget = self._budgets[refusal.type] = _Budget(now)
        if not budget.take(_who(refusal), now):
            self.count(refusal)
            return False
        async with self._store.write() as tx:
            await self._writer.record(tx, log_id, refusal)
        return True

    def count(self, refusal: Refusal) -> None:
        """Count a refusal that needs no entry, because one of its like was logged a moment ago."""
        count = self._counts.setdefault(_kind(refusal), _Count(0, self._writer.clock.monotonic()))
        count.number += 1

    async def step(self) -> None:
        """Log the counts whose window has closed.

        Raises:
            StoreUnavailableError: the log cannot be written now; they are kept.
        """
        opened_by = self._writer.clock.monotonic() - WINDOW_SECONDS
        await self._log([kind for kind, count in self._counts.items() if count.since <= opened_by])

    async def close(self) -> None:
        """Log all counts.

        Raises:
            StoreUnavailableError: the log cannot be written now.
        """
        await self._log(list(self._counts))

    async def _log(self, kinds: list[_Kind]) -> None:
        for start in range(0, len(kinds), MAX_NEW_ENTRIES):
            numbers = {kind: self._counts[kind].number for kind in kinds[start : start + MAX_NEW_ENTRIES]}
            counted = [_counted(kind, number) for kind, number in numbers.items()]
            async with self._store.write() as tx:
                await self._writer.record(tx, OPERATOR_LOG, *counted)
            for kind, number in numbers.items():
                self._forget(kind, number)

    def _forget(self, kind: _Kind, number: int) -> None:
        """Take back what is durable now. What came meanwhile begins a window of its own."""
        count = self._counts[kind]
        count.number -= number
        count.since = self._writer.clock.monotonic()
        if count.number == 0:
            del self._counts[kind]


def _who(refusal: Refusal) -> str:
    """Return who was refused. Of a sign-in that failed, the account is only whom it was tried for."""
    if isinstance(refusal, EndpointEnrolmentRefused | LoginFailed):
        return site_of(refusal.source)
    return refusal.account_id


def _kind(refusal: Refusal) -> _Kind:
    account_id = None if isinstance(refusal, EndpointEnrolmentRefused) else refusal.account_id
    return _Kind(refusal.type, account_id)


def _counted(kind: _Kind, number: int) -> RefusalsCounted:
    return RefusalsCounted.model_validate({"refused": kind.type, "account_id": kind.account_id, "count": number})
