"""Carries out what the customer asks for on the control socket."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Protocol, TypeVar

from latchstring.certs.ssh_public_key import fingerprint_of
from latchstring.endpoint.access_control import AccessControl, OffReport
from latchstring.endpoint.clock import Clock
from latchstring.endpoint.consent import Request as WaitingRequest
from latchstring.endpoint.errors import EndpointError, RefusedError, UsageFaultError
from latchstring.endpoint.lifecycle import Lifecycle
from latchstring.endpoint.local.messages import (
    AccessAnswer,
    Approve,
    Decided,
    End,
    Ended,
    GetAccess,
    GetStatus,
    ListRequests,
    ListSessions,
    PolicyAnswer,
    Refuse,
    ReloadPolicy,
    Request,
    RequestList,
    RequestView,
    SessionList,
    SessionView,
    SetAccess,
    StatusAnswer,
)
from latchstring.endpoint.local.server import AnswerBody
from latchstring.endpoint.session import LiveSession
from latchstring.protocol.access import AccessMode
from latchstring.protocol.endings import Reason
from latchstring.protocol.times import format_time

_LATER = "the journal cannot be written now; the controller will hear of this when it can"

Progress = Callable[[str], None]


class Identified(Protocol):
    """Something with a session's id."""

    @property
    def session_id(self) -> str:
        """The id."""


_Found = TypeVar("_Found", bound=Identified)


class CustomerCommands:
    """What the customer can ask of a running agent.

    Args:
        lifecycle: requests and sessions.
        access: the switch.
        status: tells how the agent is.
        reload_policy: reads the policy's file again, and tells whether another is in force now.
        connected: tells whether the controller can hear us.
        clock: for what people are shown.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        access: AccessControl,
        *,
        status: Callable[[], StatusAnswer],
        reload_policy: Callable[[], Awaitable[bool]],
        connected: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._lifecycle = lifecycle
        self._access = access
        self._status = status
        self._reload_policy = reload_policy
        self._connected = connected
        self._clock = clock

    async def __call__(self, request: Request, progress: Progress) -> AnswerBody:  # noqa: PLR0911 - one for each command
        """Carry out one request.

        Raises:
            EndpointError: it was not done.
        """
        match request:
            case GetAccess():
                return self._access_answer()
            case SetAccess():
                return await self._set_access(request, progress)
            case GetStatus():
                return self._status()
            case ReloadPolicy():
                return await self._reload()
            case ListRequests():
                return RequestList(requests=tuple(self._view_request(item) for item in self._shown()))
            case Approve():
                return await self._approve(request)
            case Refuse():
                return await self._refuse(request)
            case ListSessions():
                return SessionList(sessions=tuple(view_session(item, self._clock) for item in self._sessions()))
            case End():
                return await self._end(request)

    def _shown(self) -> list[WaitingRequest]:
        return self._lifecycle.requests.shown()

    def _sessions(self) -> tuple[LiveSession, ...]:
        return self._lifecycle.sessions.all()

    def _access_answer(self) -> AccessAnswer:
        setting = self._access.setting
        return AccessAnswer(
            access=setting.mode, until=setting.until, then=setting.following, requests_waiting=len(self._shown())
        )

    async def _set_access(self, request: SetAccess, progress: Progress) -> AccessAnswer:
        if request.mode is not AccessMode.OFF:
            await self._access.open(request.mode, seconds=request.seconds)
            return self._access_answer()
        live = len(self._sessions())
        if live:
            progress(f"ending {live} {'session' if live == 1 else 'sessions'}")
        report = await self._access.turn_off(seconds=request.seconds)
        return self._access_answer().model_copy(update=_off_fields(report))

    async def _reload(self) -> PolicyAnswer:
        live, waiting = set(self._sessions()), len(self._shown())
        changed = await self._reload_policy()
        ended = live - set(self._sessions())
        return PolicyAnswer(
            changed=changed, sessions_ended=len(ended), requests_refused=max(0, waiting - len(self._shown()))
        )

    async def _approve(self, request: Approve) -> Decided:
        waiting = find_by_prefix(request.id, self._shown(), "request that waits")
        await self._check_unmistakable(request.id, waiting)
        if not self._connected():
            raise EndpointError("the controller is not connected, so nobody could use the session; try again later")
        session = await self._lifecycle.approve(
            waiting.session_id, capabilities=request.capabilities, duration_seconds=request.seconds
        )
        grant = session.grant
        return Decided(
            id=grant.session_id,
            decision="approved",
            engineer=grant.engineer,
            capabilities=grant.capabilities,
            seconds=grant.duration_seconds,
        )

    async def _check_unmistakable(self, text: str, waiting: WaitingRequest) -> None:
        """Check that ``text`` cannot have meant another request, one that was shown earlier and is gone.

        Ids are the controller's choice: it could put a request where another with the same beginning was seen.

        Raises:
            UsageFaultError: it can.
        """
        if any(item != waiting.session_id for item in await self._lifecycle.known_sessions(prefix_of(text), 2)):
            raise UsageFaultError(
                f"{text} also began the id of an earlier request; say yes to the whole id, {waiting.session_id}, "
                "once you have looked at it again (latch-endpoint requests)"
            )

    async def _refuse(self, request: Refuse) -> Decided:
        waiting = find_by_prefix(request.id, self._shown(), "request that waits")
        written = await self._lifecycle.refuse(waiting.session_id, note=request.note)
        return Decided(
            id=waiting.session_id,
            decision="refused",
            engineer=waiting.offer.engineer,
            note=None if written else _LATER,
        )

    async def _end(self, request: End) -> Ended:
        session = find_by_prefix(request.id, self._sessions(), "live session")
        ending = self._lifecycle.end(session.session_id, Reason.ENDED_BY_CUSTOMER)
        if ending is None:
            raise RefusedError(f"{session.session_id} has ended already")
        done = await ending
        return Ended(
            id=done.session_id,
            state=done.state,
            processes_left=done.processes_left,
            milliseconds=round(done.seconds * 1000),
        )

    def _view_request(self, request: WaitingRequest) -> RequestView:
        offer = request.offer
        return RequestView(
            id=offer.session_id,
            engineer=offer.engineer,
            engineer_key=request.engineer_key,
            purpose=offer.purpose,
            ticket=offer.ticket,
            note=offer.note,
            requested_capabilities=offer.capabilities,
            capabilities=request.allowed.capabilities,
            requested_seconds=offer.duration_seconds,
            seconds=request.allowed.duration_seconds,
            received_at=format_time(request.received_at),
            lapses_in_seconds=max(0, round(request.lapses_at - self._clock.monotonic())),
        )


def view_session(session: LiveSession, clock: Clock) -> SessionView:
    """Return a live session as people see it."""
    grant = session.grant
    left = max(0.0, session.deadline - clock.monotonic())
    return SessionView(
        id=grant.session_id,
        state=session.state,
        engineer=grant.engineer,
        engineer_key=fingerprint_of(grant.ssh_public_key),
        purpose=grant.purpose,
        ticket=grant.ticket,
        note=grant.note,
        capabilities=session.capabilities,
        seconds=grant.duration_seconds,
        granted_at=format_time(session.granted_at),
        expires_at=format_time(clock.now() + timedelta(seconds=left)),
        seconds_left=round(left),
        connections=session.connections,
    )


def prefix_of(text: str) -> str:
    """Return the beginning of a session's id that somebody typed, with or without ``ses-``."""
    return text if text.startswith("ses-") else f"ses-{text}"


def find_by_prefix(text: str, candidates: Iterable[_Found], what: str) -> _Found:
    """Return the one whose id is ``text``, or the only one whose id begins with it, with or without ``ses-``.

    Raises:
        EndpointError: there is none, or more than one.
    """
    found = [item for item in candidates if item.session_id.startswith(prefix_of(text))]
    if not text or not found:
        raise EndpointError(f"there is no {what} with id {text[:40] or '(empty)'}")
    if len(found) > 1:
        raise EndpointError(f"{len(found)} ids begin with {text[:40]}; write more of it")
    return found[0]


def _off_fields(report: OffReport) -> dict[str, object]:
    notes = [note for note in (report.fault, None if report.journaled else _LATER) if note is not None]
    return {
        "sessions_ended": len(report.endings),
        "requests_refused": report.refused,
        "processes_left": sum(ending.processes_left for ending in report.endings),
        "milliseconds": round(report.seconds * 1000),
        "note": "; ".join(notes) or None,
    }
