"""``latch endpoints``, ``sessions``, ``open`` and ``close``."""

from latchstring.client import layout
from latchstring.client.actions.context import CommandContext
from latchstring.client.actions.output import answer, answer_json, answer_table, duration, relative_time, tell, waiting
from latchstring.client.actions.session_ids import resolve_session_id
from latchstring.client.controller_api import ControllerApi
from latchstring.client.errors import one_line
from latchstring.client.home import Home
from latchstring.client.login import connect_to_controller
from latchstring.client.opening import (
    Wish,
    decision_error,
    describe_open,
    session_request,
    wait_for_decision,
    withdraw,
)
from latchstring.protocol.api import EndpointView, SessionView
from latchstring.protocol.session_state import ENDED, LIVE, WAITING

_SKEW_WORTH_A_WORD = 30
_ENDPOINT_COLUMNS = ("NAME", "CUSTOMER", "ONLINE", "ACCESS", "SESSIONS", "SEEN", "VERSION", "CLOCK")
_SESSION_COLUMNS = ("ID", "STATE", "ENDPOINT", "CUSTOMER", "ENGINEER", "PURPOSE", "REQUESTED", "EXPIRES", "REASON")


def endpoints(context: CommandContext, *, as_json: bool) -> None:
    """List the endpoints."""
    with connect_to_controller(context.home) as api:
        listing = api.endpoints()
    if as_json:
        answer_json(listing.model_dump(mode="json"))
    else:
        rows = [_endpoint_row(context, view) for view in listing.endpoints]
        answer_table(_ENDPOINT_COLUMNS, rows, nothing="there are no endpoints yet")
    for view in listing.endpoints:
        if view.clock_skew_seconds is not None and abs(view.clock_skew_seconds) >= _SKEW_WORTH_A_WORD:
            tell(f"the clock of {view.name} is {_skew(view.clock_skew_seconds)}; sessions work all the same")


def sessions(context: CommandContext, *, everybody: bool, limit: int, as_json: bool) -> None:
    """List sessions, newest first."""
    with connect_to_controller(context.home) as api:
        listing = api.sessions(limit=limit, everybody=everybody)
    if as_json:
        answer_json(listing.model_dump(mode="json"))
        return
    rows = [_session_row(context, view) for view in listing.sessions]
    answer_table(_SESSION_COLUMNS, rows, nothing="there are no sessions; `latch open` asks for one")


def open_session(context: CommandContext, wish: Wish, *, wait: bool, as_json: bool) -> None:
    """Ask for a session and wait for the decision."""
    request = session_request(wish, lambda: _public_key(context.home))
    with connect_to_controller(context.home) as api:
        view = api.request_session(request)
        if wait and view.state in WAITING:
            view = _wait(context, api, view)
    if as_json:
        answer_json(view.model_dump(mode="json"))
    error = decision_error(view)
    if error is not None:
        raise error
    if not as_json:
        answer(describe_open(view))
    if view.state in LIVE:
        tell(f"now: ssh {view.endpoint}{layout.HOST_SUFFIX}   (done: latch close {view.id})")
    else:
        tell(f"{one_line(view.customer)} has not decided yet: latch sessions")


def close_session(context: CommandContext, session: str, *, as_json: bool) -> None:
    """Close a session, or withdraw a request."""
    with connect_to_controller(context.home) as api:
        view = api.close_session(resolve_session_id(api, session, everybody=False))
    if as_json:
        answer_json(view.model_dump(mode="json"))
    elif view.state in ENDED:
        answer(f"{view.id} {view.state} on {view.endpoint}")
    else:
        answer(f"{view.id} closing on {view.endpoint}")


def _public_key(home: Home) -> str:
    home.read_config()  # without a login no key is made
    return home.ssh_public_key()


def _wait(context: CommandContext, api: ControllerApi, view: SessionView) -> SessionView:
    who = f"{one_line(view.customer)} ({view.endpoint})"
    try:
        with waiting(f"waiting for {who} to decide on {view.id}; Ctrl-C takes the request back"):
            return wait_for_decision(api, view, tell=tell, sleep=context.sleep)
    except KeyboardInterrupt as interrupt:
        raise withdraw(api, view.id) from interrupt


def _endpoint_row(context: CommandContext, view: EndpointView) -> tuple[str, ...]:
    return (
        view.name,
        view.customer,
        "yes" if view.online else "no",
        str(view.access) if view.access is not None else "-",
        str(view.live_sessions),
        "now" if view.online else relative_time(view.last_seen_at, context.now()),
        view.agent_version or "-",
        "-" if view.clock_skew_seconds is None else _skew(view.clock_skew_seconds),
    )


def _session_row(context: CommandContext, view: SessionView) -> tuple[str, ...]:
    live = view.state in LIVE
    return (
        view.id,
        str(view.state),
        view.endpoint,
        view.customer,
        view.engineer.email,
        f"{view.purpose} {view.ticket}" if view.ticket else str(view.purpose),
        relative_time(view.requested_at, context.now()),
        relative_time(view.expires_at, context.now()) if live else "-",
        str(view.reason) if view.reason is not None else "-",
    )


def _skew(seconds: int) -> str:
    if abs(seconds) < _SKEW_WORTH_A_WORD:
        return "right"
    return f"{duration(abs(seconds))} {'ahead' if seconds > 0 else 'behind'}"
