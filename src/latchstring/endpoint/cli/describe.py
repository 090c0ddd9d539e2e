"""What an event of the journal says to people, in one line."""

from latchstring.endpoint.journal.commitments import Opening
from latchstring.protocol.durations import format_duration
from latchstring.protocol.endings import EXPLANATIONS
from latchstring.protocol.endpoint_events import (
    AccessChanged,
    AgentStarted,
    ChannelClosed,
    ChannelOpened,
    ChannelRefused,
    EndpointEvent,
    PolicyChanged,
    PolicyRefused,
    SessionAsked,
    SessionConnected,
    SessionConnectionRefused,
    SessionDisconnected,
    SessionEnded,
    SessionGranted,
    SessionNarrowed,
    SessionRefused,
)
from latchstring.protocol.grants import Offer

_MAX_DETAIL = 200


def describe(event: EndpointEvent, offers: dict[str, Offer], opening: Opening | None) -> str:
    """Return one line for ``event``; names come from the endpoint's own table of offers."""
    session_id = getattr(event, "session_id", None)
    if session_id is None:
        return _describe_endpoint(event)
    offer = offers.get(session_id)
    who = "" if offer is None else f" {offer.engineer.name} <{offer.engineer.email}>"
    return f"{session_id}{who}: {_describe_session(event, offer)}{_show_detail(opening)}"


def _describe_endpoint(event: EndpointEvent) -> str:
    match event:
        case AgentStarted():
            return f"version {event.version}, access is {event.access}"
        case AccessChanged():
            until = "" if event.until is None else f" until {event.until}"
            return f"access is {event.mode}{until}, by {event.by}"
        case PolicyChanged():
            return f"another policy is in force ({event.policy[:12]}…), by {event.by}"
        case PolicyRefused():
            return "the policy's file was changed, and cannot be meant"
        case _:
            return ""


def _describe_session(event: EndpointEvent, offer: Offer | None) -> str:  # noqa: C901, PLR0911 - one for each event
    match event:
        case SessionAsked():
            return "asks" if offer is None else f"asks for {format_duration(offer.duration_seconds)}, {offer.purpose}"
        case SessionGranted():
            duration = format_duration(event.duration_seconds)
            what = f"granted {', '.join(event.capabilities)} for {duration}, by {event.decided_by}"
            return f"{what}, to the key {event.engineer_key}"
        case SessionRefused():
            note = "" if event.note is None else f" ({event.note})"
            return f"refused: {EXPLANATIONS[event.reason]}{note}"
        case SessionNarrowed():
            left = format_duration(event.seconds_left)
            return f"the policy changed: {', '.join(event.capabilities)} is left, for {left} at most"
        case SessionConnected() | SessionDisconnected():
            return f"{event.connections} SSH {'connection' if event.connections == 1 else 'connections'}"
        case SessionConnectionRefused():
            return f"a connection could not prove itself: {event.code}"
        case ChannelOpened():
            return f"channel {event.channel}, {event.capability}"
        case ChannelRefused():
            return f"{event.kind}: {event.reason}"
        case ChannelClosed():
            status = "" if event.exit_status is None else f" with status {event.exit_status}"
            return f"channel {event.channel} {event.outcome}{status}, {event.bytes_in} bytes in, {event.bytes_out} out"
        case SessionEnded():
            proof = f"{event.processes_left} processes left after {event.kill_milliseconds} ms"
            return f"{event.state}: {EXPLANATIONS[event.reason]}; {proof}"
        case _:
            return ""


def _show_detail(opening: Opening | None) -> str:
    """Show a command line on the customer's own screen, without letting it draw on it."""
    if opening is None:
        return ""
    text = (
        opening.detail[:_MAX_DETAIL].encode("unicode_escape").decode()
        if not opening.detail.isprintable()
        else (opening.detail[:_MAX_DETAIL])
    )
    return f": {text}" + ("…" if len(opening.detail) > _MAX_DETAIL else "")
