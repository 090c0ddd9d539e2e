"""Ends a session on somebody's word at the vendor's. Off comes first, and does not depend on the log.

1. Whatever the session is by now: cut its connections, and tell its endpoint to end it or to forget the request.
2. In one transaction: a waiting session is withdrawn; for a live one it is kept and logged that its end was asked for.
3. Again as in 1: a request may have been granted, and a dial issued, between 1 and 2.

If 2 fails the asker hears so and nothing has changed here, but access is off.
"""

from dataclasses import replace

from latchstring.controller.accounts.actor import Actor
from latchstring.controller.sessions.dependencies import SessionDependencies
from latchstring.controller.sessions.lifecycle import end
from latchstring.controller.store.records import Session
from latchstring.controller.store.store import UnitOfWork
from latchstring.protocol.endings import Reason
from latchstring.protocol.events import SessionCloseRequested, SessionWithdrawn
from latchstring.protocol.messages import EndSession, Withdraw
from latchstring.protocol.session_state import LIVE, WAITING, Happening


async def close_session(dependencies: SessionDependencies, actor: Actor, unlocked: Session) -> Session:
    """End the session for an actor who may, and return it as it is then. ``unlocked`` was read outside the write.

    Raises:
        StoreUnavailableError: step 2 failed.
    """
    own = unlocked.engineer.account_id == actor.account_id
    # 1.
    _turn_off(dependencies, unlocked, own=own)
    # 2.
    async with dependencies.store.write() as tx:
        before = await tx.sessions.by_id(unlocked.id) or unlocked
        after = await _close(tx, dependencies, actor, before, own=own)
    # 3.
    if before.state != unlocked.state:
        _turn_off(dependencies, before, own=own)
    dependencies.relay.cut(before.id)
    dependencies.bus.publish(before.id)
    return after


async def _close(
    tx: UnitOfWork, dependencies: SessionDependencies, actor: Actor, session: Session, *, own: bool
) -> Session:
    if session.state in WAITING:
        withdrawn = SessionWithdrawn(session_id=session.id, account_id=actor.account_id, source=actor.source)
        return await end(
            tx,
            dependencies.writer,
            session,
            Happening.WITHDRAW if own else Happening.END_BY_VENDOR,
            withdrawn,
            at=dependencies.clock.now(),
            reason=Reason.WITHDRAWN if own else Reason.ENDED_BY_ADMINISTRATOR,
        )
    if session.state in LIVE and session.close_reason is None:
        closing = replace(session, close_reason=_live_reason(own=own))
        await tx.sessions.save(closing)
        event = SessionCloseRequested.model_validate(
            {
                "session_id": session.id,
                "account_id": actor.account_id,
                "source": actor.source,
                "reason": closing.close_reason,
            }
        )
        await dependencies.writer.record(tx, session.customer_id, event)
        return closing
    return session


def _turn_off(dependencies: SessionDependencies, session: Session, *, own: bool) -> None:
    dependencies.relay.cut(session.id)
    if session.state in WAITING:
        reason = Reason.WITHDRAWN if own else Reason.ENDED_BY_ADMINISTRATOR
        withdraw = Withdraw.model_validate({"session_id": session.id, "reason": reason})
        dependencies.channels.send(session.endpoint_id, withdraw)
    elif session.state in LIVE:
        reason = session.close_reason or _live_reason(own=own)
        dependencies.channels.send(
            session.endpoint_id, EndSession.model_validate({"session_id": session.id, "reason": reason})
        )


def _live_reason(*, own: bool) -> Reason:
    return Reason.CLOSED_BY_ENGINEER if own else Reason.ENDED_BY_ADMINISTRATOR
