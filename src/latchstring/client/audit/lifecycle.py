"""Whether the events of each session in a log follow the table of ``protocol.session_state``.

The controller commits an entry together with the state that it leads to, so its own events always fit. An endpoint's
report may come late, after the controller has given a session up: it is logged all the same, and moves nothing.
"""

from dataclasses import dataclass, field

from latchstring.client.audit.faults import LogFaultError
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

    def observe(self, event: AuditEvent) -> None:
        """Take the next event of the log into account.

        Raises:
            LogFaultError: it cannot happen to its session in the state that the log says it is in.
        """
        if isinstance(event, events.SessionRequested):
            if event.session_id in self._sessions:
                raise LogFaultError(f"{event.session_id} is requested a second time")
            self._sessions[event.session_id] = _Session(SessionState.REQUESTED, event)
            return
        session_id = getattr(event, "session_id", None)
        if session_id is None or isinstance(event, _ANY_STATE):
            return
        session = self._sessions.get(session_id)
        if session is None:
            raise LogFaultError(f"{event.type} of {session_id}, which nobody requested")
        if session.state in ENDED and event.type in ENDPOINT_EVENT_TYPES:
            return
        self._advance(session, event)

    def _advance(self, session: _Session, event: AuditEvent) -> None:
        _check_grant(session, event)
        if isinstance(event, events.SessionGranted):
            session.granted = frozenset(event.capabilities)
        happening = _happening(session.state, event)
        if happening is None:
            _check_live(session, event)
            return
        try:
            session.state = next_state(session.state, happening)
        except ImpossibleTransitionError as error:
            raise LogFaultError(f"{event.type} of {session.requested.session_id}: {error}") from error
        if isinstance(event, events.SessionEnded) and event.state is not session.state:
            raise LogFaultError(f"{event.type} says {event.state}, which {event.reason} does not lead to")


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
        raise LogFaultError(f"{event.type} of {session.requested.session_id}, which is {session.state}")


def _check_grant(session: _Session, event: AuditEvent) -> None:
    """Check that a grant is no wider than its request, and a channel no wider than the grant."""
    match event:
        case events.SessionGranted():
            if not set(event.capabilities) <= set(session.requested.capabilities):
                raise LogFaultError(f"{event.session_id} is granted more than was requested")
            if event.duration_seconds > session.requested.duration_seconds:
                raise LogFaultError(f"{event.session_id} is granted for longer than was requested")
        case events.ChannelOpened() if session.state not in WAITING:
            if event.capability not in session.granted:
                raise LogFaultError(f"{event.session_id} has a channel for {event.capability}, which was not granted")
        case _:
            return
