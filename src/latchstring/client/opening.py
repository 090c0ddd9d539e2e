"""``latch open``: ask for a session, wait for the customer's decision, and take the request back on Ctrl-C."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from pydantic import ValidationError

from latchstring.client import layout
from latchstring.client.errors import (
    ClientError,
    RefusedError,
    UnreachableError,
    UsageFaultError,
    one_line,
)
from latchstring.protocol.api import SessionRequest, SessionView
from latchstring.protocol.capabilities import normalise, parse_capability
from latchstring.protocol.durations import format_duration, parse_duration
from latchstring.protocol.endings import EXPLANATIONS
from latchstring.protocol.grants import MAX_DURATION_SECONDS
from latchstring.protocol.ids import parse_endpoint_name
from latchstring.protocol.purposes import Purpose, parse_note, parse_ticket, require_ticket
from latchstring.protocol.session_state import LIVE, WAITING, SessionState

WAIT_SECONDS: Final = 25
RETRY_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Pauses between attempts while the controller cannot be reached: it may be restarting. After the last we give up."""


class Sessions(Protocol):
    """What opening needs of the controller."""

    def request_session(self, request: SessionRequest) -> SessionView:
        """Ask for a session."""

    def session(self, session_id: str, *, wait_seconds: int = 0) -> SessionView:
        """Return a session, at once or when it is decided."""

    def close_session(self, session_id: str) -> SessionView:
        """Close a session, or withdraw the request."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the engineer typed after ``latch open``, not yet looked at."""

    endpoint: str
    purpose: str
    ticket: str | None
    note: str | None
    duration: str
    capabilities: str


def session_request(wish: Wish, ssh_public_key: Callable[[], str]) -> SessionRequest:
    """Return the request that ``wish`` means.

    Args:
        wish: what was typed.
        ssh_public_key: reads the engineer's key, once everything that was typed has been understood.

    Raises:
        UsageFaultError: something in it cannot be meant. The message says what, and nothing was sent.
    """
    try:
        endpoint = parse_endpoint_name(wish.endpoint.removesuffix(layout.HOST_SUFFIX))
        purpose = _parse_purpose(wish.purpose)
        ticket = None if wish.ticket is None else parse_ticket(wish.ticket)
        require_ticket(purpose, ticket)
        note = None if wish.note is None else parse_note(wish.note)
        seconds = parse_duration(wish.duration)
        names = [name.strip() for name in wish.capabilities.split(",") if name.strip()]
        capabilities = normalise(tuple(parse_capability(name) for name in names))
    except ValueError as error:
        raise UsageFaultError(one_line(str(error), 400)) from error
    if seconds > MAX_DURATION_SECONDS:
        raise UsageFaultError(f"a session lasts at most {format_duration(MAX_DURATION_SECONDS)}: shorten --for")
    try:
        return SessionRequest(
            endpoint=endpoint,
            purpose=purpose,
            ticket=ticket,
            note=note,
            capabilities=capabilities,
            duration_seconds=seconds,
            ssh_public_key=ssh_public_key(),
        )
    except ValidationError as error:
        raise UsageFaultError(one_line(str(error.errors()[0]["msg"]))) from error


def _parse_purpose(text: str) -> Purpose:
    try:
        return Purpose(text)
    except ValueError as error:
        known = "; ".join(f"{purpose}: {purpose.meaning}" for purpose in Purpose)
        raise ValueError(f"{text[:40]!r} is not a purpose; there are {known}") from error


def wait_for_decision(
    sessions: Sessions, view: SessionView, *, tell: Callable[[str], None], sleep: Callable[[float], None]
) -> SessionView:
    """Wait until the request is no longer waiting, and return the session as it is then.

    A controller that cannot be reached for a while is asked again: the request is kept there.

    Raises:
        UnreachableError: the controller did not come back.
        ClientError: it answered with something else.
    """
    pauses = iter(RETRY_SECONDS)
    while view.state in WAITING:
        try:
            view = sessions.session(view.id, wait_seconds=WAIT_SECONDS)
            pauses = iter(RETRY_SECONDS)
        except UnreachableError as error:
            pause = next(pauses, None)
            if pause is None:
                raise UnreachableError(
                    f"{error}; the request {view.id} may still be answered: see `latch sessions`"
                ) from error
            tell(f"{error}; asking again in {format_duration(int(pause))}")
            sleep(pause)
    return view


def withdraw(sessions: Sessions, session_id: str) -> ClientError:
    """Take a request back, and return the error that the command ends with."""
    try:
        view = sessions.close_session(session_id)
    except ClientError as error:
        return ClientError(
            f"interrupted, and {session_id} could not be taken back ({error}): `latch close {session_id}`"
        )
    if view.state is SessionState.WITHDRAWN:
        return ClientError(f"interrupted: the request {session_id} was withdrawn")
    return ClientError(f"interrupted: {session_id} was decided in that moment and is being closed; it is {view.state}")


def decision_error(view: SessionView) -> ClientError | None:
    """Return the error that a decided session means for ``latch open``; None if it is open or still waiting."""
    if view.state in LIVE or view.state in WAITING:
        return None
    explained = EXPLANATIONS[view.reason] if view.reason is not None else f"it is {view.state}"
    if view.explanation and view.explanation.startswith(explained):
        explained = one_line(view.explanation)
    elif view.explanation:
        explained += f" ({one_line(view.explanation)})"
    match view.state:
        case SessionState.REFUSED:
            return RefusedError(f"{view.endpoint} refused: {explained}")
        case SessionState.LOST:
            return UnreachableError(f"the request to {view.endpoint} was lost: {explained}; try again when it is back")
        case _:
            return ClientError(f"no session on {view.endpoint}: {explained}")


def describe_open(view: SessionView) -> str:
    """Return what ``latch open`` answers: one line for the session as it is."""
    words = [view.id, str(view.state), "on", view.endpoint]
    if view.state in LIVE and view.granted_seconds is not None:
        words += ["for", format_duration(view.granted_seconds)]
    if view.state in LIVE and view.capabilities is not None:
        words += ["with", ",".join(view.capabilities)]
    return " ".join(words)
