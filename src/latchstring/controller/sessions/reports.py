"""What endpoints say on their control channels: hello, reports, and that they are gone."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from latchstring.controller.errors import (
    HelloRefusedError,
    ReportError,
    ReportGapError,
    ReportRefusedError,
    StoreUnavailableError,
)
from latchstring.controller.sessions.dependencies import SessionDependencies
from latchstring.controller.sessions.effects import Effects
from latchstring.controller.sessions.presence import Presence
from latchstring.controller.sessions.reconciliation import Claim, end_unknown, reconcile
from latchstring.controller.sessions.reported import ReportedChanges
from latchstring.controller.store.records import Endpoint
from latchstring.controller.store.store import UnitOfWork
from latchstring.protocol.events import EndpointConnected, EndpointDisconnected
from latchstring.protocol.messages import FromController, GoodbyeCode, Hello, Welcome, negotiate_version
from latchstring.protocol.statements import SignedStatement, StatementError, VerifiedStatement, verify_statement
from latchstring.protocol.times import format_time, parse_time

MAX_BATCH: Final = 64
"""Reports in one transaction."""
REFUSED_RETRY_SECONDS: Final = 3600

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HelloAnswer:
    """What to send to an endpoint that may connect: the welcome, then the messages. ``connection`` numbers it."""

    welcome: Welcome
    messages: tuple[FromController, ...]
    connection: int


class EndpointReports:
    """Takes in what endpoints say."""

    def __init__(self, dependencies: SessionDependencies, presence: Presence) -> None:
        self._dependencies = dependencies
        self._presence = presence
        # Both for endpoints that are connected, by their ids.
        self._journal_keys: dict[str, Ed25519PublicKey] = {}
        self._claims: dict[str, Claim] = {}

    async def hello(self, endpoint_id: str, hello: Hello, source: str) -> HelloAnswer:
        """Let an endpoint connect, from the IP address ``source``. Its certificate has proven who it is.

        1. It is enrolled, and was not revoked.
        2. There is a protocol version that both sides know.
        3. Its journal has at least what it reported before: one that lost entries would report others under their
           numbers.
        4. Log the connection; end or reconcile sessions that the sides see differently.

        Raises:
            HelloRefusedError: step 1, 2 or 3 failed; it carries the goodbye to say.
            StoreUnavailableError: the connection cannot be logged now.
        """
        effects = Effects()
        now = self._dependencies.clock.now()
        claim = Claim(frozenset(hello.live_sessions), hello.journal_size)
        async with self._dependencies.store.write() as tx:
            endpoint = await tx.endpoints.by_id(endpoint_id)
            # 1.
            if endpoint is None or not endpoint.is_enrolled or endpoint.journal_key is None:
                raise _refused(GoodbyeCode.REVOKED, "the endpoint is not enrolled, or was revoked")
            # 2.
            version = negotiate_version(hello.versions)
            if version is None:
                raise _refused(GoodbyeCode.VERSION, "there is no protocol version that both sides know")
            # 3.
            if hello.journal_size < endpoint.next_sequence:
                logger.warning("%s lost journal entries that it had reported: revoke and enrol it anew", endpoint_id)
                raise _refused(GoodbyeCode.JOURNAL_BEHIND, "the endpoint's journal is shorter than what it reported")
            # 4.
            await self._log_connection(tx, endpoint, hello, source, now)
            if hello.journal_size == endpoint.next_sequence:
                await reconcile(tx, self._dependencies.writer, endpoint_id, claim, effects, at=now)
            else:
                await end_unknown(tx, endpoint_id, claim.live_sessions, effects)
        self._journal_keys[endpoint_id] = Ed25519PublicKey.from_public_bytes(bytes.fromhex(endpoint.journal_key))
        self._claims.pop(endpoint_id, None)
        if hello.journal_size > endpoint.next_sequence:
            self._claims[endpoint_id] = claim
        effects.cut_and_wake(self._dependencies)
        welcome = Welcome(
            version=version, time=format_time(now), endpoint_id=endpoint_id, acknowledged=endpoint.next_sequence
        )
        return HelloAnswer(welcome, tuple(effects.messages), self._presence.connected(endpoint_id))

    async def accept(self, endpoint_id: str, reports: Sequence[SignedStatement]) -> int:
        """Take an endpoint's reports, in their order, and return the sequence that is wanted next.

        A report that was taken before is ignored. The others change sessions and are logged, up to :data:`MAX_BATCH` in
        one transaction, which also keeps the sequence: after a crash they were taken, or are wanted again.

        Raises:
            ReportRefusedError: one is malformed, or not signed by the endpoint's journal key.
            ReportGapError: one before it is missing. In both cases those before it were taken.
            StoreUnavailableError: the log cannot be written now; what was not acknowledged comes again.
        """
        verified, refused = await self._verify(endpoint_id, reports)
        claim = self._claims.get(endpoint_id)
        if claim is None:
            wanted = await self._take_all(endpoint_id, verified)
        else:
            wanted = await self._take_claimed(endpoint_id, verified, claim)
        if refused is not None:
            raise refused
        return wanted

    async def disconnected(self, endpoint_id: str, connection: int) -> None:
        """Note that a connection is down. Nothing happens if the endpoint has a newer one.

        That it is gone counts at once; if the log cannot be written now, the entry is missing and a line says so.
        """
        if not self._presence.disconnected(endpoint_id, connection):
            return
        self._journal_keys.pop(endpoint_id, None)
        self._claims.pop(endpoint_id, None)
        try:
            async with self._dependencies.store.write() as tx:
                endpoint = await tx.endpoints.by_id(endpoint_id)
                if endpoint is not None:
                    await tx.endpoints.left(endpoint_id, at=self._dependencies.clock.now())
                    event = EndpointDisconnected(endpoint_id=endpoint_id)
                    await self._dependencies.writer.record(tx, endpoint.customer_id, event)
        except StoreUnavailableError:
            logger.warning("that %s disconnected could not be logged", endpoint_id)

    async def _log_connection(
        self, tx: UnitOfWork, endpoint: Endpoint, hello: Hello, source: str, now: datetime
    ) -> None:
        skew = round((parse_time(hello.time) - now).total_seconds())
        await tx.endpoints.saw(
            endpoint.id, at=now, access=hello.access, agent_version=hello.agent_version, clock_skew_seconds=skew
        )
        event = EndpointConnected(
            endpoint_id=endpoint.id, source=source, version=hello.agent_version, clock_skew_seconds=skew
        )
        await self._dependencies.writer.record(tx, endpoint.customer_id, event)

    async def _verify(
        self, endpoint_id: str, reports: Sequence[SignedStatement]
    ) -> tuple[list[VerifiedStatement], ReportError | None]:
        """Return the reports up to the first that cannot be verified, and what is wrong with that one."""
        key = await self._journal_key(endpoint_id)
        verified: list[VerifiedStatement] = []
        for signed in reports:
            try:
                verified.append(verify_statement(signed, endpoint_id=endpoint_id, journal_key=key))
            except StatementError as error:
                refused = ReportRefusedError(str(error))
                refused.__cause__ = error
                return verified, refused
        return verified, None

    async def _journal_key(self, endpoint_id: str) -> Ed25519PublicKey:
        if endpoint_id not in self._journal_keys:
            async with self._dependencies.store.read() as tx:
                endpoint = await tx.endpoints.by_id(endpoint_id)
            if endpoint is None or endpoint.journal_key is None:
                raise ReportRefusedError("the endpoint is not enrolled")
            return Ed25519PublicKey.from_public_bytes(bytes.fromhex(endpoint.journal_key))
        return self._journal_keys[endpoint_id]

    async def _take_claimed(self, endpoint_id: str, reports: list[VerifiedStatement], claim: Claim) -> int:
        """Take what was outstanding at the hello; once all of that is here, reconcile; then take the rest."""
        outstanding = [report for report in reports if report.statement.sequence < claim.journal_size]
        wanted = await self._take_all(endpoint_id, outstanding)
        if wanted >= claim.journal_size:
            await self._reconcile(endpoint_id, claim)
        newer = [report for report in reports if report.statement.sequence >= claim.journal_size]
        return await self._take_all(endpoint_id, newer) if newer else wanted

    async def _take_all(self, endpoint_id: str, reports: list[VerifiedStatement]) -> int:
        wanted = 0
        for start in range(0, max(len(reports), 1), MAX_BATCH):
            wanted = await self._take(endpoint_id, reports[start : start + MAX_BATCH])
        return wanted

    async def _take(self, endpoint_id: str, reports: list[VerifiedStatement]) -> int:
        """Take one batch in one transaction.

        Raises:
            ReportGapError: there is a gap; what comes before it was taken.
        """
        effects = Effects()
        writer = self._dependencies.writer
        async with self._dependencies.store.write() as tx:
            endpoint = await tx.endpoints.by_id(endpoint_id)
            if endpoint is None:
                raise ReportRefusedError("the endpoint is not enrolled")
            fresh, gap = _in_sequence(reports, endpoint.next_sequence)
            wanted = endpoint.next_sequence + len(fresh)
            if fresh:
                changes = ReportedChanges(tx, endpoint, effects, at=self._dependencies.clock.now())
                for report in fresh:
                    await changes.apply(report.statement.event)
                await changes.save()
                await tx.endpoints.advance(endpoint_id, next_sequence=wanted, access=changes.access)
                await writer.append(tx, endpoint.customer_id, [writer.repeat(report) for report in fresh])
        effects.perform(self._dependencies, endpoint_id)
        if gap is not None:
            raise gap
        return wanted

    async def _reconcile(self, endpoint_id: str, claim: Claim) -> None:
        effects = Effects()
        now = self._dependencies.clock.now()
        async with self._dependencies.store.write() as tx:
            await reconcile(tx, self._dependencies.writer, endpoint_id, claim, effects, at=now)
        # A newer connection may have made another claim meanwhile; that one stands.
        if self._claims.get(endpoint_id) is claim:
            del self._claims[endpoint_id]
        effects.perform(self._dependencies, endpoint_id)


def _in_sequence(
    reports: list[VerifiedStatement], wanted: int
) -> tuple[list[VerifiedStatement], ReportGapError | None]:
    """Return the reports that continue the journal at ``wanted``, and the gap that ends them, if there is one."""
    fresh: list[VerifiedStatement] = []
    for report in reports:
        sequence = report.statement.sequence
        if sequence > wanted + len(fresh):
            return fresh, ReportGapError(f"report {wanted + len(fresh)} is missing")
        if sequence == wanted + len(fresh):
            fresh.append(report)
    return fresh, None


def _refused(code: GoodbyeCode, detail: str) -> HelloRefusedError:
    return HelloRefusedError(code, detail, retry_after_seconds=REFUSED_RETRY_SECONDS)
