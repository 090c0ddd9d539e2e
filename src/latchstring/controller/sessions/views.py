"""Sessions as the API shows them."""

from datetime import datetime

from latchstring.controller.store.records import Session
from latchstring.protocol.api import SessionView
from latchstring.protocol.endings import EXPLANATIONS
from latchstring.protocol.times import format_time


def session_view(session: Session) -> SessionView:
    """Return what its engineer and auditors see."""
    return SessionView(
        id=session.id,
        state=session.state,
        endpoint=session.endpoint_name,
        endpoint_id=session.endpoint_id,
        customer=session.customer_name,
        engineer=session.engineer,
        purpose=session.purpose,
        ticket=session.ticket,
        note=session.note,
        requested_capabilities=session.requested_capabilities,
        capabilities=session.capabilities,
        requested_seconds=session.requested_seconds,
        granted_seconds=session.granted_seconds,
        requested_at=format_time(session.requested_at),
        granted_at=_time(session.granted_at),
        expires_at=_time(session.expires_at),
        ended_at=_time(session.ended_at),
        reason=session.reason,
        explanation=_explanation(session),
    )


def _explanation(session: Session) -> str | None:
    if session.reason is None:
        return None
    explained = EXPLANATIONS[session.reason]
    return explained if session.opens is None else f"{explained}, opens {session.opens}"


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
