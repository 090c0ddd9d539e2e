"""What an endpoint's reports do to its sessions, within one transaction.

Whatever can be verified is logged: it is what the endpoint says. It changes a session only where the lifecycle's table
has it so. A report that comes late, or speaks of a session that is not this endpoint's, is logged and changes nothing.
"""

import hmac
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from latchstring.certs.ssh_public_key import fingerprint_of
from latchstring.controller.sessions.effects import Effects
from latchstring.controller.sessions.lifecycle import GrantTerms, advance, can, grant
from latchstring.controller.store.records import Endpoint, Session
from latchstring.controller.store.store import UnitOfWork
from latchstring.protocol import events
from latchstring.protocol.access import AccessMode
from latchstring.protocol.endings import HAPPENINGS, Reason
from latchstring.protocol.grants import grant_from_offer
from latchstring.protocol.messages import EndSession
from latchstring.protocol.session_state import LIVE, WAITING, Happening

logger = logging.getLogger(__name__)


class ReportedChanges:
    """Applies reported events in their order; :meth:`save` writes what came of them."""

    def __init__(self, tx: UnitOfWork, endpoint: Endpoint, effects: Effects, *, at: datetime) -> None:
        self._tx = tx
        self._endpoint = endpoint
        self._effects = effects
        self._at = at
        self._sessions: dict[str, Session | None] = {}
        self._changed: set[str] = set()
        self.access: AccessMode | None = None
        """The switch's mode, if the events say it."""

    async def apply(self, event: Any) -> None:
        """Apply one event."""
        match event:
            case events.AgentStarted():
                self.access = event.access
            case events.AccessChanged():
                self.access = event.mode
            case events.SessionAsked():
                await self._happen(event.session_id, Happening.ASK)
            case events.SessionGranted():
                await self._grant(event)
            case events.SessionRefused():
                await self._refuse(event)
            case events.SessionNarrowed():
                await self._narrow(event)
            case events.SessionConnected():
                await self._happen(event.session_id, Happening.CONNECT)
            case events.SessionDisconnected() if event.connections == 0:
                await self._happen(event.session_id, Happening.DISCONNECT)
            case events.SessionEnded():
                await self._end(event)
            case _:
                pass  # the other events are for the log alone

    async def save(self) -> None:
        """Write the sessions that changed."""
        for session_id in sorted(self._changed):
            session = self._sessions[session_id]
            if session is not None:
                await self._tx.sessions.save(session)

    async def _happen(self, session_id: str, happening: Happening, reason: Reason | None = None) -> None:
        session = await self._session(session_id)
        if session is not None and can(session, happening):
            self._replace(advance(session, happening, at=self._at, reason=reason))

    async def _grant(self, event: events.SessionGranted) -> None:
        session = await self._session(event.session_id)
        if session is not None and session.state in LIVE and session.grant_digest == event.grant_digest:
            return
        if session is None or session.state not in WAITING or not _is_answer(session, event):
            logger.warning("%s granted what was not asked of it, or not any more", self._endpoint.id)
            if session is not None:  # another endpoint's session is not this one's to cut
                self._effects.cut(session.id)
            self._effects.tell(EndSession(session_id=event.session_id, reason=Reason.CONTROLLER_FORGOT))
            return
        terms = GrantTerms(event.grant_digest, event.capabilities, event.duration_seconds)
        self._replace(grant(session, terms, at=self._at))

    async def _refuse(self, event: events.SessionRefused) -> None:
        session = await self._session(event.session_id)
        if session is not None and can(session, Happening.REFUSE):
            refused = advance(session, Happening.REFUSE, at=self._at, reason=event.reason)
            self._replace(replace(refused, opens=event.opens))

    async def _narrow(self, event: events.SessionNarrowed) -> None:
        """Take note of what is left of a live session: never more than there was."""
        session = await self._session(event.session_id)
        if session is None or session.state not in LIVE or session.expires_at is None:
            return
        kept = tuple(granted for granted in session.capabilities or () if granted in event.capabilities)
        expires_at = min(session.expires_at, self._at + timedelta(seconds=event.seconds_left))
        self._replace(replace(session, capabilities=kept, expires_at=expires_at))

    async def _end(self, event: events.SessionEnded) -> None:
        session = await self._session(event.session_id)
        if session is None:
            return
        self._effects.cut(session.id)
        # A reason that ends no session, or not one in this state, leaves nothing to say but that it is over.
        happening = HAPPENINGS.get(event.reason, Happening.LOSE)
        if not can(session, happening):
            happening = Happening.LOSE
        if can(session, happening):
            self._replace(advance(session, happening, at=self._at, reason=event.reason))

    async def _session(self, session_id: str) -> Session | None:
        """Return the session if it is this endpoint's."""
        if session_id not in self._sessions:
            session = await self._tx.sessions.by_id(session_id)
            if session is None or session.endpoint_id != self._endpoint.id:
                logger.warning("%s speaks of a session that is not its own", self._endpoint.id)
                session = None
            self._sessions[session_id] = session
        return self._sessions[session_id]

    def _replace(self, session: Session) -> None:
        self._sessions[session.id] = session
        self._changed.add(session.id)
        self._effects.changed(session.id)


def _is_answer(session: Session, event: events.SessionGranted) -> bool:
    """Return whether digest and key are those of the grant that answers this session's offer."""
    try:
        answer = grant_from_offer(
            session.offer(), capabilities=event.capabilities, duration_seconds=event.duration_seconds
        )
    except ValueError:
        return False
    key = fingerprint_of(session.ssh_public_key)
    return hmac.compare_digest(answer.digest(), event.grant_digest) and event.engineer_key == key
