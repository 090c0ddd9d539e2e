"""What controller and endpoint believe of each other's sessions, brought together when an endpoint connects.

Sessions that the controller does not know, or knows to have ended, are ended at the endpoint at once. The rest waits
until every report that the endpoint had outstanding at its hello was taken, because these may say what became of a
session:

- live here but not there: lost;
- live there but not here: ended there;
- live on both sides, and its end was asked for: ended there;
- waiting here: offered again. An endpoint that knows the session already ignores the offer.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from latchstring.controller.log.writer import LogWriter
from latchstring.controller.sessions.effects import Effects
from latchstring.controller.sessions.lifecycle import end
from latchstring.controller.store.records import Session
from latchstring.controller.store.store import UnitOfWork
from latchstring.protocol.endings import Reason
from latchstring.protocol.events import SessionLost
from latchstring.protocol.messages import EndSession, Offer
from latchstring.protocol.session_state import LIVE, WAITING, Happening


@dataclass(frozen=True, slots=True)
class Claim:
    """What an endpoint said when it connected: its live sessions, and how many reports its journal had by then."""

    live_sessions: frozenset[str]
    journal_size: int


async def end_unknown(tx: UnitOfWork, endpoint_id: str, claimed: Iterable[str], effects: Effects) -> None:
    """End those of the claimed sessions that are not open here."""
    known = {session.id for session in await tx.sessions.open_at(endpoint_id)}
    for session_id in sorted(set(claimed) - known):
        _end_there(session_id, Reason.CONTROLLER_FORGOT, effects)


async def reconcile(
    tx: UnitOfWork, writer: LogWriter, endpoint_id: str, claim: Claim, effects: Effects, *, at: datetime
) -> None:
    """Bring both sides together, once the endpoint's outstanding reports were taken."""
    sessions = await tx.sessions.open_at(endpoint_id)
    live = {session.id: session for session in sessions if session.state in LIVE}
    for session_id in sorted(claim.live_sessions):
        session = live.get(session_id)
        if session is None:
            _end_there(session_id, Reason.CONTROLLER_FORGOT, effects)
        elif session.close_reason is not None:
            _end_there(session_id, session.close_reason, effects)
    for session in live.values():
        if session.id not in claim.live_sessions:
            await _lose(tx, writer, session, effects, at=at)
    for session in sessions:
        if session.state in WAITING:
            effects.tell(Offer(offer=session.offer()))


async def _lose(tx: UnitOfWork, writer: LogWriter, session: Session, effects: Effects, *, at: datetime) -> None:
    reason = Reason.ENDPOINT_UNREACHABLE
    event = SessionLost(session_id=session.id, reason=reason)
    await end(tx, writer, session, Happening.LOSE, event, at=at, reason=reason)
    effects.cut(session.id)
    effects.changed(session.id)


def _end_there(session_id: str, reason: Reason, effects: Effects) -> None:
    effects.cut(session_id)
    effects.tell(EndSession.model_validate({"session_id": session_id, "reason": reason}))
