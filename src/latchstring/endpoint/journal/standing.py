"""Where a session stands according to the journal: kept beside it, so that a start need not read all of it. Pure."""

from enum import StrEnum

from latchstring.protocol.endpoint_events import (
    EndpointEvent,
    SessionAsked,
    SessionEnded,
    SessionGranted,
    SessionRefused,
)


class Standing(StrEnum):
    """What the journal says of a session so far."""

    ASKED = "asked"
    REFUSED = "refused"
    LIVE = "live"
    ENDED = "ended"


def standing_after(event: EndpointEvent) -> tuple[str, Standing] | None:
    """Return the session that ``event`` moves, and where to; None if it moves none."""
    match event:
        case SessionAsked():
            return event.session_id, Standing.ASKED
        case SessionRefused():
            return event.session_id, Standing.REFUSED
        case SessionGranted():
            return event.session_id, Standing.LIVE
        case SessionEnded():
            return event.session_id, Standing.ENDED
        case _:
            return None
