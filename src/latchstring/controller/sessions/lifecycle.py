"""The one place where a session's state changes at the controller: through the protocol's table."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from latchstring.controller.log.writer import LogWriter
from latchstring.controller.store.records import Session
from latchstring.controller.store.store import UnitOfWork
from latchstring.protocol.endings import Reason
from latchstring.protocol.events import ControllerEvent
from latchstring.protocol.session_state import ENDED, TRANSITIONS, Happening, next_state


@dataclass(frozen=True, slots=True)
class GrantTerms:
    """What a session was granted."""

    digest: str
    capabilities: tuple[str, ...]
    duration_seconds: int


def can(session: Session, happening: Happening) -> bool:
    """Return whether the table lets this happen to the session now."""
    return happening in TRANSITIONS[session.state]


def advance(session: Session, happening: Happening, *, at: datetime, reason: Reason | None = None) -> Session:
    """Return the session as it is after ``happening``; ``reason`` is kept if that ends it.

    Raises:
        ImpossibleTransitionError: the table has no such transition.
    """
    state = next_state(session.state, happening)
    if state not in ENDED:
        return replace(session, state=state)
    return replace(session, state=state, ended_at=at, reason=reason)


def grant(session: Session, terms: GrantTerms, *, at: datetime) -> Session:
    """Return the session as it is once its customer consented to ``terms``.

    Raises:
        ImpossibleTransitionError: the session does not wait for a decision.
    """
    return replace(
        advance(session, Happening.GRANT, at=at),
        grant_digest=terms.digest,
        capabilities=terms.capabilities,
        granted_seconds=terms.duration_seconds,
        granted_at=at,
        expires_at=at + timedelta(seconds=terms.duration_seconds),
    )


async def end(
    tx: UnitOfWork,
    writer: LogWriter,
    session: Session,
    happening: Happening,
    event: ControllerEvent,
    *,
    at: datetime,
    reason: Reason,
) -> Session:
    """End a session on the controller's own word: change its state and log ``event``, in this transaction.

    Raises:
        ImpossibleTransitionError: the table has no such transition; nothing was changed.
    """
    ended = advance(session, happening, at=at, reason=reason)
    await tx.sessions.save(ended)
    await writer.record(tx, session.customer_id, event)
    return ended
