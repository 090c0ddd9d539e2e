"""What time alone does to sessions and endpoints. Nothing here makes an endpoint do more than it would by itself.

Each finding is handled in a transaction of its own that looks again first, so that a sweep never acts on what has
changed since it looked, and one that fails is found again by the next. Where something must be off it is cut before
it is logged.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from latchstring.controller.accounts.actor import MAY_HOLD_SESSIONS
from latchstring.controller.sessions.barring import bar_sessions
from latchstring.controller.sessions.dependencies import SessionDependencies
from latchstring.controller.sessions.lifecycle import can, end
from latchstring.controller.sessions.presence import Presence
from latchstring.controller.store.records import Endpoint, Session
from latchstring.controller.store.store import UnitOfWork
from latchstring.protocol.endings import Reason
from latchstring.protocol.events import ControllerEvent, SessionLapsed, SessionLost
from latchstring.protocol.messages import EndSession, FromController, Goodbye, GoodbyeCode, Withdraw
from latchstring.protocol.session_state import WAITING, EndpointHappening, Happening, forced

_TOKENS_KEPT: Final = timedelta(days=7)
"""How long an expired token is still told from one that never was."""
_REVOKED_RETRY_SECONDS: Final = 86_400

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """How long things may take.

    Attributes:
        endpoint_grace_seconds: an endpoint's absence until its sessions are lost.
        request_life_seconds: a request without a decision until it lapses.
        overdue_seconds: a session's time being up until it is given up without its endpoint's report.
    """

    endpoint_grace_seconds: float = 25.0
    request_life_seconds: float = 600.0
    overdue_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class _Findings:
    revoked: tuple[Endpoint, ...]
    endpoints: tuple[str, ...]
    lapsed: tuple[Session, ...]
    overdue: tuple[Session, ...]
    closing: tuple[Session, ...]
    old_tokens: bool


class Sweeper:
    """Looks for what is due. :meth:`step` is called about every second."""

    def __init__(self, dependencies: SessionDependencies, presence: Presence, settings: SweepSettings) -> None:
        self._dependencies = dependencies
        self._presence = presence
        self._settings = settings

    async def step(self) -> None:
        """Do all that is due now.

        Raises:
            StoreUnavailableError: something cannot be logged now. It stays due; what must be off was cut.
        """
        await self._bar()
        found = await self._look()
        for endpoint in found.revoked:
            await self._cut_off(endpoint)
        for endpoint_id in found.endpoints:
            if self._is_lost(endpoint_id):
                await self._lose_all(endpoint_id)
        for session in found.lapsed:
            await self._lapse(session)
        for session in found.overdue:
            await self._give_up(session)
        for session in found.closing:
            await self._repeat_close(session)
        if found.old_tokens:
            async with self._dependencies.store.write() as tx:
                await tx.tokens.remove_expired(before=self._dependencies.clock.now() - _TOKENS_KEPT)
        await self._dependencies.refusals.step()

    async def _bar(self) -> None:
        """Mark what an account that was barred meanwhile has open."""
        async with self._dependencies.store.read() as tx:
            barred = await tx.sessions.accounts_to_bar(may_hold=MAY_HOLD_SESSIONS)
        for account_id in barred:
            async with self._dependencies.store.write() as tx:
                await bar_sessions(tx, self._dependencies.writer, account_id)

    async def _look(self) -> _Findings:
        now = self._dependencies.clock.now()
        settings = self._settings
        async with self._dependencies.store.read() as tx:
            return _Findings(
                revoked=await tx.endpoints.revocations_to_do(),
                endpoints=await tx.sessions.endpoints_with_open(),
                lapsed=await tx.sessions.waiting_since(now - timedelta(seconds=settings.request_life_seconds)),
                overdue=await tx.sessions.live_beyond(now - timedelta(seconds=settings.overdue_seconds)),
                closing=await tx.sessions.closing(),
                old_tokens=await tx.tokens.any_expired(before=now - _TOKENS_KEPT),
            )

    async def _cut_off(self, endpoint: Endpoint) -> None:
        """End everything of a revoked endpoint, and close its channel."""
        reason = Reason.ENDPOINT_REVOKED
        sessions = await self._open_at(endpoint.id)
        for session in sessions:
            self._dependencies.relay.cut(session.id)
            self._tell(session, EndSession(session_id=session.id, reason=reason))
        goodbye = Goodbye(code=GoodbyeCode.REVOKED, retry_after_seconds=_REVOKED_RETRY_SECONDS)
        self._dependencies.channels.close(endpoint.id, goodbye)
        for session in sessions:
            lost = SessionLost(session_id=session.id, reason=reason)
            await self._end(session, lambda now: forced(EndpointHappening.REVOKED, now.state), lost, reason)
        async with self._dependencies.store.write() as tx:
            await tx.endpoints.revocation_done(endpoint.id)
        logger.info("cut %s off, which was revoked", endpoint.id)

    async def _lose_all(self, endpoint_id: str) -> None:
        """Give up the sessions of an endpoint that is gone, unless it comes back meanwhile."""
        reason = Reason.ENDPOINT_UNREACHABLE

        def lose(session: Session) -> Happening | None:
            return forced(EndpointHappening.LOST, session.state) if self._is_lost(endpoint_id) else None

        sessions = await self._open_at(endpoint_id)
        for session in sessions:
            self._dependencies.relay.cut(session.id)
        for session in sessions:
            await self._end(session, lose, SessionLost(session_id=session.id, reason=reason), reason)

    def _is_lost(self, endpoint_id: str) -> bool:
        return self._presence.absent_seconds(endpoint_id) >= self._settings.endpoint_grace_seconds

    async def _lapse(self, session: Session) -> None:
        reason = Reason.UNANSWERED
        lapsed = SessionLapsed(session_id=session.id)
        if await self._end(session, lambda now: Happening.EXPIRE if now.state in WAITING else None, lapsed, reason):
            self._tell(session, Withdraw(session_id=session.id, reason=reason))

    async def _give_up(self, session: Session) -> None:
        """Give up a session that its endpoint should have reported as over."""
        self._tell(session, EndSession(session_id=session.id, reason=Reason.CONTROLLER_FORGOT))
        self._dependencies.relay.cut(session.id)
        lost = SessionLost(session_id=session.id, reason=Reason.DEADLINE)
        await self._end(session, lambda _: Happening.LOSE, lost, Reason.DEADLINE)

    async def _repeat_close(self, session: Session) -> None:
        """Tell an endpoint again to end a session: the first message may have been lost with a connection."""
        self._dependencies.relay.cut(session.id)
        if session.state in WAITING:
            await self._withdraw(session)
            return
        self._tell(session, EndSession.model_validate({"session_id": session.id, "reason": session.close_reason}))

    async def _withdraw(self, session: Session) -> None:
        """Take back the request of a barred account. One that was granted meanwhile is ended by the next sweep."""
        reason = Reason.ENDED_BY_ADMINISTRATOR
        lost = SessionLost(session_id=session.id, reason=reason)
        if await self._end(
            session, lambda now: Happening.END_BY_VENDOR if now.state in WAITING else None, lost, reason
        ):
            self._tell(session, Withdraw(session_id=session.id, reason=reason))

    async def _end(
        self, seen: Session, choose: Callable[[Session], Happening | None], event: ControllerEvent, reason: Reason
    ) -> bool:
        """End a session as it is by now, if what is chosen can happen to it; False if not."""
        async with self._dependencies.store.write() as tx:
            ended = await self._end_now(tx, seen.id, choose, event, reason)
        if ended:
            self._dependencies.relay.cut(seen.id)
            self._dependencies.bus.publish(seen.id)
        return ended

    async def _end_now(
        self,
        tx: UnitOfWork,
        session_id: str,
        choose: Callable[[Session], Happening | None],
        event: ControllerEvent,
        reason: Reason,
    ) -> bool:
        session = await tx.sessions.by_id(session_id)
        happening = None if session is None else choose(session)
        if session is None or happening is None or not can(session, happening):
            return False
        now = self._dependencies.clock.now()
        await end(tx, self._dependencies.writer, session, happening, event, at=now, reason=reason)
        return True

    async def _open_at(self, endpoint_id: str) -> tuple[Session, ...]:
        async with self._dependencies.store.read() as tx:
            return await tx.sessions.open_at(endpoint_id)

    def _tell(self, session: Session, message: FromController) -> None:
        self._dependencies.channels.send(session.endpoint_id, message)
