"""Whether the events of each session in a log follow the table of ``protocol.session_state``.

The controller commits an entry together with the state that it leads to, so its own events always fit. An endpoint's
report may come late, after the controller has given a session up: it is logged all the same, and moves nothing. Only
the endpoint that a session was requested on has a say in it: what another one reports about it moves nothing either.
"""

from dataclasses import dataclass, field

from latchstring.client.audit.faults import DiscrepancyError
from latchstring.protocol import events
from latchstring.protocol.endings import HAPPENINGS
from latchstring.protocol.events import ENDPOINT_EVENT_TYPES, AuditEvent
from latchstring.protocol.session_state import (
    ENDED,
    LIVE,
    WAITING,
    Happening,
    ImpossibleTransitionError,
    SessionState,
    next_state,
)

_ANY_STATE = (events.RelayClosed, events.LogRead)
"""Events about a session that may come in any state: the last bytes were carried, or somebody read about it."""

_DECISIONS = {
    events.SessionAsked: Happening.ASK,
    events.SessionGranted: Happening.GRANT,
    events.SessionRefused: Happening.REFUSE,
    events.SessionWithdrawn: Happening.WITHDRAW,
    events.SessionLapsed: Happening.EXPIRE,
}


@dataclass(slots=True)
class _Session:
    state: SessionState
    requested: events.SessionRequested
    granted: frozenset[str] = frozenset()
    channels: set[int] = field(default_factory=set)


class SessionLifecycles:
    """Follows every session of one log, entry by entry."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}

    def state(self, session_id: str) -> SessionState | None:
        """Return the state of a session after the events so far; None if nobody requested it."""
        session = self._sessions.get(session_id)
        return None if session is None else session.state

    def observe(self, event: AuditEvent, *, endpoint_id: str | None) -> None:
        """Take the next event of the log into account.

        Args:
            event: the event.
            endpoint_id: the endpoint that signed it, None if the controller says it.

        Raises:
            DiscrepancyError: it cannot happen to its session in the state that the log says it is in, or another
                endpoint than the session's reports it.
        """
        if isinstance(event, events.SessionRequested):
            if event.session_id in self._sessions:
                raise DiscrepancyError(f"{event.session_id} is requested a second time")
            self._sessions[event.session_id] = _Session(SessionState.REQUESTED, event)
            return
        session_id = getattr(event, "session_id", None)
        if session_id is None or isinstance(event, _ANY_STATE):
            return
        session = self._sessions.get(session_id)
        if session is None:
            raise DiscrepancyError(f"{event.type} of {session_id}, which nobody requested")
        if endpoint_id is not None and endpoint_id != session.requested.endpoint_id:
            raise DiscrepancyError(
                f"{event.type} of {session_id} is signed by {endpoint_id}, and the session is one of "
                f"{session.requested.endpoint_id}"
            )
        if session.state in ENDED and event.type in ENDPOINT_EVENT_TYPES:
            return
        self._advance(session, event)

    def _advance(self, session: _Session, event: AuditEvent) -> None:
        _check_grant(session, event)
        happening = _happening(session.state, event)
        if happening is None:
            _check_live(session, event)
            return
        try:
            session.state = next_state(session.state, happening)
        except ImpossibleTransitionError as error:
            raise DiscrepancyError(f"{event.type} of {session.requested.session_id}: {error}") from error
        if isinstance(event, events.SessionGranted):
            session.granted = frozenset(event.capabilities)
        if isinstance(event, events.SessionEnded) and event.state is not session.state:
            raise DiscrepancyError(f"{event.type} says {event.state}, which {event.reason} does not lead to")


def _happening(state: SessionState, event: AuditEvent) -> Happening | None:
    """Return what an event is in the table; None if it moves nothing."""
    if isinstance(event, events.SessionEnded | events.SessionLost):
        return HAPPENINGS.get(event.reason, Happening.LOSE)
    if isinstance(event, events.SessionConnected):
        return None if state is SessionState.CONNECTED else Happening.CONNECT
    if isinstance(event, events.SessionDisconnected):
        return None if event.connections else Happening.DISCONNECT
    return _DECISIONS.get(type(event))


def _check_live(session: _Session, event: AuditEvent) -> None:
    """Check that what uses a session comes while it may be used."""
    if session.state not in LIVE:
        raise DiscrepancyError(f"{event.type} of {session.requested.session_id}, which is {session.state}")


def _check_grant(session: _Session, event: AuditEvent) -> None:
    """Check that a grant is no wider than its request, and a channel no wider than the grant."""
    match event:
        case events.SessionGranted():
            if not set(event.capabilities) <= set(session.requested.capabilities):
                raise DiscrepancyError(f"{event.session_id} is granted more than was requested")
            if event.duration_seconds > session.requested.duration_seconds:
                raise DiscrepancyError(f"{event.session_id} is granted for longer than was requested")
            if event.engineer_key != session.requested.engineer_key:
                raise DiscrepancyError(f"{event.session_id} is granted to another key than it was requested with")
        case events.ChannelOpened() if session.state not in WAITING:
            if event.capability not in session.granted:
                raise DiscrepancyError(
                    f"{event.session_id} has a channel for {event.capability}, which was not granted"
                )
        case _:
            return
