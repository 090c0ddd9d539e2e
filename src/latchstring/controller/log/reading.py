"""Lets auditors read the logs. Reading is logged first, in every log that it covers.

What follows a reading, page by page, belongs to it: the same account's next entry in a log is written when its last
is :data:`~latchstring.controller.log.recent_readings.READING_SECONDS` old.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

from latchstring.controller.accounts.actor import Actor
from latchstring.controller.errors import LogDamagedError
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.controller.log.reader import LogReader
from latchstring.controller.log.recent_readings import RecentReadings
from latchstring.controller.log.writer import LogWriter
from latchstring.controller.store.records import Customer, LogHead
from latchstring.controller.store.store import Store, UnitOfWork
from latchstring.protocol.api import EntryPage, JournalKey, JournalKeyList, LogList, LogView
from latchstring.protocol.events import LogRead
from latchstring.protocol.problems import ProblemCode, ProblemError

Operation = Literal["list", "show", "verify"]

_log: Final = logging.getLogger(__name__)


class LogReading:
    """The logs as the API shows them to auditors.

    Raises (all methods):
        ProblemError: the account may not (``wrong_role``), there is no such log or session, or ``log_unavailable``,
            because the reading cannot be logged or a log is damaged.
    """

    def __init__(self, store: Store, writer: LogWriter) -> None:
        self._store = store
        self._writer = writer
        self._recent = RecentReadings()

    async def list_logs(self, actor: Actor, operation: Operation, session_id: str | None = None) -> LogList:
        """Log the reading in each log that it covers, then return these logs.

        A reading of one session covers its customer's log, any other reading all logs. Checkpoints are those of after
        the reading was logged.
        """
        _require_auditor(actor)
        with _damage_told():
            return await self._list_logs(actor, operation, session_id)

    async def _list_logs(self, actor: Actor, operation: Operation, session_id: str | None) -> LogList:
        async with self._store.write() as tx:
            customers = {customer.id: customer for customer in await tx.customers.all()}
            covered = sorted([*customers, OPERATOR_LOG]) if session_id is None else [await _log_of(tx, session_id)]
            event = LogRead(
                account_id=actor.account_id, source=actor.source, operation=operation, session_id=session_id
            )
            heads = [await self._writer.record(tx, log_id, event) for log_id in covered]
        for log_id in covered:
            self._recent.add(actor.account_id, log_id, self._writer.clock.monotonic())
        return LogList(logs=tuple(self._view(head, customers.get(head.log_id)) for head in heads))

    async def entries(self, actor: Actor, log_id: str, start: int, limit: int) -> EntryPage:
        """Log the reading unless it belongs to one that is logged, then return a page of a log's entries."""
        _require_auditor(actor)
        with _damage_told():
            await self._log_reading(actor, log_id)
            async with self._store.read() as tx:
                return await LogReader(tx, log_id).page(start, limit)

    async def journal_keys(self, actor: Actor, log_id: str) -> JournalKeyList:
        """Return the keys of every endpoint whose statements the log may hold, revoked ones too.

        The reading is logged as that of entries is.
        """
        _require_auditor(actor)
        with _damage_told():
            await self._log_reading(actor, log_id)
        async with self._store.read() as tx:
            endpoints = await tx.endpoints.of_customer(log_id)
        return JournalKeyList(
            keys=tuple(
                JournalKey(endpoint_id=endpoint.id, endpoint=endpoint.name, key=endpoint.journal_key)
                for endpoint in endpoints
                if endpoint.journal_key is not None
            )
        )

    async def _log_reading(self, actor: Actor, log_id: str) -> None:
        if self._recent.covers(actor.account_id, log_id, self._writer.clock.monotonic()):
            return
        # In a transaction of its own: what the reading finds, damage too, does not take its trace back.
        async with self._store.write() as tx:
            await _require_log(tx, log_id)
            event = LogRead(account_id=actor.account_id, source=actor.source, operation="list")
            await self._writer.record(tx, log_id, event)
        self._recent.add(actor.account_id, log_id, self._writer.clock.monotonic())

    def _view(self, head: LogHead, customer: Customer | None) -> LogView:
        return LogView(
            id=head.log_id,
            customer=None if customer is None else customer.name,
            size=head.size,
            checkpoint=head.checkpoint,
            verifier_key=self._writer.verifier_key(head.log_id),
        )


@contextmanager
def _damage_told() -> Iterator[None]:
    """Tell the auditor which log is damaged, and where, and the administrator too."""
    try:
        yield
    except LogDamagedError as error:
        _log.error("%s", error)
        raise ProblemError(ProblemCode.LOG_UNAVAILABLE, f"{error}; tell the controller's administrator") from error


def _require_auditor(actor: Actor) -> None:
    if not actor.may_audit:
        raise ProblemError(ProblemCode.WRONG_ROLE, "reading the logs needs the role auditor or admin")


async def _require_log(tx: UnitOfWork, log_id: str) -> None:
    if await tx.logs.head(log_id) is None:
        raise ProblemError(ProblemCode.NOT_FOUND, "there is no such log")


async def _log_of(tx: UnitOfWork, session_id: str) -> str:
    session = await tx.sessions.by_id(session_id)
    if session is None:
        raise ProblemError(ProblemCode.UNKNOWN_SESSION, "there is no such session")
    return session.customer_id
