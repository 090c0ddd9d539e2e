"""From an offer to the end of its session: policy, consent, grant, kill.

The order of an opening::

    0. the offer arrives, and the journal is asked whether it was decided before
    1. the request is taken out of the table (``consent``): from here on exactly one path decides
    2. the sandbox starts; nobody can reach it yet, so this needs no entry in a log
    3. ``session.granted`` becomes durable in the journal
    4. the session enters the table: from here on it can be used

Between any two steps the switch, the engineer or the connection's end may say stop. Before step 3 that makes the
request a refused one, after it the session ends the moment it is live. A grant in the journal whose session never
existed is closed by the next start of the agent.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final

from latchstring.certs.ssh_public_key import fingerprint_of
from latchstring.endpoint.channel_budget import MachineBudget
from latchstring.endpoint.clock import Clock
from latchstring.endpoint.consent import Request, WaitingRequests, narrow
from latchstring.endpoint.errors import JournalUnavailableError, RefusedError
from latchstring.endpoint.journal.journal import Journal
from latchstring.endpoint.journal.standing import Standing
from latchstring.endpoint.offer_limit import OfferLimit
from latchstring.endpoint.policy.decision import Allow, Allowed, Ask, Refuse, State, decide, seconds_open
from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.policy.windows import describe_opening
from latchstring.endpoint.sandbox.errors import SandboxError
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.session import Ending, LiveSession
from latchstring.endpoint.session_table import SessionTable
from latchstring.endpoint.tasks import Tasks
from latchstring.protocol.access import AccessMode
from latchstring.protocol.canonical_json import canonical_json
from latchstring.protocol.durations import format_duration
from latchstring.protocol.endings import EXPLANATIONS, Reason
from latchstring.protocol.endpoint_events import SessionAsked, SessionGranted, SessionRefused
from latchstring.protocol.event_fields import DecidedBy
from latchstring.protocol.grants import MIN_DURATION_SECONDS, Offer, grant_from_offer

_STOPPED_AS: Final[Mapping[Reason, Reason]] = {
    Reason.WITHDRAWN: Reason.CLOSED_BY_ENGINEER,
    Reason.UNANSWERED: Reason.CONTROLLER_FORGOT,
}
"""How a session ends whose request was withdrawn while its grant was being written."""

_DECIDED: Final = frozenset({Standing.REFUSED, Standing.LIVE, Standing.ENDED})

_log = logging.getLogger(__name__)


class Lifecycle:
    """The requests and sessions of an endpoint.

    Args:
        endpoint_id: this endpoint's; an offer for another is refused.
        customer_id: likewise.
        policy: the customer's.
        mode: asks the switch, each time.
        start_sandbox: starts a sandbox as a policy says.
        journal: where everything is recorded first.
        clock: its monotonic side measures all times.
    """

    def __init__(
        self,
        *,
        endpoint_id: str,
        customer_id: str,
        policy: Policy,
        mode: Callable[[], AccessMode],
        start_sandbox: Callable[[Policy], Awaitable[Sandbox]],
        journal: Journal,
        clock: Clock,
    ) -> None:
        self.requests = WaitingRequests()
        self.sessions = SessionTable()
        self.changed = asyncio.Event()
        """Set when a deadline may have moved."""
        self._endpoint_id = endpoint_id
        self._customer_id = customer_id
        self._policy = policy
        self._mode = mode
        self._start_sandbox = start_sandbox
        self._journal = journal
        self._clock = clock
        self._tasks = Tasks()
        self._limit = OfferLimit(clock)
        self._budget = MachineBudget(clock)
        self._arriving: dict[str, Reason | None] = {}
        """Offers before they enter the table of requests, and why nothing must come of them; the first reason stays."""

    def offer(self, offer: Offer) -> None:
        """Take up an offer. One that is known already is left alone, since a controller may repeat itself.

        One beyond the limit is dropped without a statement in the journal.
        """
        known = offer.session_id in self._arriving or offer.session_id in self.requests
        if not known and offer.session_id not in self.sessions and self._limit.admit():
            self._arriving[offer.session_id] = None
            self._tasks.start(self._arrive(offer), name=f"offer {offer.session_id}")

    async def approve(
        self, session_id: str, *, capabilities: tuple[str, ...] | None, duration_seconds: int | None
    ) -> LiveSession:
        """Say yes for the customer, to no more than was asked for and the policy allows.

        Raises:
            UsageFaultError: it would be more; the request still waits.
            RefusedError: the request is gone, or its session could not be opened.
        """
        request = next((shown for shown in self.requests.shown() if shown.session_id == session_id), None)
        if request is None:
            raise RefusedError(f"{session_id} no longer waits for an answer")
        allowed = narrow(request.allowed, capabilities=capabilities, duration_seconds=duration_seconds)
        if self.requests.take_to_open(session_id) is None:
            raise RefusedError(f"{session_id} no longer waits for an answer")
        opened = await asyncio.shield(
            self._tasks.start(self._open(request, allowed, DecidedBy.CUSTOMER_CLI), name=f"opening {session_id}")
        )
        if isinstance(opened, Reason):
            raise RefusedError(f"{session_id} was not opened: {EXPLANATIONS[opened]}")
        return opened

    async def refuse(self, session_id: str, *, note: str | None) -> bool:
        """Say no for the customer, and return whether the journal has it already.

        Raises:
            RefusedError: the request is gone.
        """
        if self.requests.take(session_id) is None:
            raise RefusedError(f"{session_id} no longer waits for an answer")
        written = self._journal.record(
            SessionRefused(
                session_id=session_id,
                reason=Reason.CUSTOMER_REFUSED,
                decided_by=DecidedBy.CUSTOMER_CLI,
                note=note,
            )
        )
        _log.info("session %s refused by the customer", session_id)
        done, _ = await asyncio.wait({written}, timeout=1.0)
        return bool(done)

    async def known_sessions(self, prefix: str, limit: int) -> list[str]:
        """Return up to ``limit`` ids of sessions that were ever asked for here and begin with ``prefix``.

        Raises:
            JournalUnavailableError: the journal cannot be read.
        """
        return await self._journal.sessions_beginning(prefix, limit)

    def withdraw(self, session_id: str, reason: Reason) -> None:
        """Let nothing come of a request that the controller took back, or of the session that it has become."""
        if session_id in self._arriving:
            self._stop_arriving(session_id, reason)
        elif self.requests.take(session_id) is None and self.requests.stop(session_id, reason) is None:
            self.end(session_id, _STOPPED_AS.get(reason, reason))

    def end(self, session_id: str, reason: Reason) -> "asyncio.Task[Ending] | None":
        """End a live session at once; None if it is not live. The task ends with the proof."""
        session = self.sessions.find(session_id)
        return None if session is None else session.cut(reason)

    def end_all(self, reason: Reason) -> "list[asyncio.Task[Ending]]":
        """Cut every live session, in one step without a wait, and let nothing come of what is being opened."""
        for session_id in self._arriving:
            self._stop_arriving(session_id, reason)
        self.requests.stop_all(reason)
        return [session.cut(reason) for session in self.sessions.all()]

    def refuse_all(self, reason: Reason) -> int:
        """Refuse every request that waits, and return how many there were."""
        taken = self.requests.take_all()
        for request in taken:
            self._record_refusal(request.offer, reason)
        return len(taken)

    def enforce_times(self) -> float | None:
        """End what is due now, and return when something will be due next (monotonic); None if nothing will."""
        now = self._clock.monotonic()
        for request in self.requests.take_lapsed(now):
            self._record_refusal(request.offer, Reason.UNANSWERED)
        due: list[float] = []
        for session in self.sessions.all():
            idle = session.idle_deadline(self._policy.idle_timeout)
            if session.deadline <= now:
                session.cut(Reason.DEADLINE)
            elif idle is not None and idle <= now:
                session.cut(Reason.IDLE)
            else:
                due += [session.deadline, *([] if idle is None else [idle])]
        lapse = self.requests.next_lapse()
        return min(due + ([] if lapse is None else [lapse]), default=None)

    def obey(self, policy: Policy) -> None:
        """Decide by another policy from now on, and let sessions and requests have no more than it gives.

        Sessions that are more than it allows at once end, the newest first.
        """
        self._policy = policy
        for session in self.sessions.all():
            try:
                session.obey(policy)
            except Exception:  # noqa: BLE001 - whatever it is, it must not leave a session more than the policy gives
                _log.exception("what the policy leaves of %s cannot be said: it ends", session.session_id)
                session.cut(Reason.POLICY_CHANGED)
        for session in self.sessions.all()[policy.max_sessions :]:
            session.cut(Reason.POLICY_CHANGED)
        for request in self.requests.shown():
            decision = decide(policy, State(self._mode(), 0), request.offer, self._clock.now())
            if isinstance(decision, Allowed):
                request.allowed = request.allowed.within(decision)
            elif self.requests.take(request.session_id) is not None:
                self._record_refusal(request.offer, decision.reason, decision.opens_at)
        self.changed.set()

    async def settle(self) -> None:
        """Wait until nothing is being opened or ended any more."""
        await self._tasks.wait()

    async def _arrive(self, offer: Offer) -> None:
        try:
            if await self._journal.standing(offer.session_id) in _DECIDED:
                return
            if await self._is_changed(offer):
                _log.warning("refused %s: it was offered before, with other contents", offer.session_id)
                self._record_refusal(offer, Reason.POLICY)
                return
            stop = self._arriving[offer.session_id]
            if stop is not None:
                self._refuse_opening(offer, stop)
                return
            decision = self._decide(offer)
            if isinstance(decision, Refuse):
                self._record_refusal(offer, decision.reason, decision.opens_at)
                return
            request = Request(
                offer=offer,
                engineer_key=fingerprint_of(offer.ssh_public_key),
                allowed=decision,
                received_at=self._clock.now(),
                lapses_at=self._clock.monotonic() + self._policy.consent_timeout,
            )
            self.requests.add(request)
        except JournalUnavailableError:
            self._record_refusal(offer, Reason.JOURNAL_UNAVAILABLE)
            return
        finally:
            del self._arriving[offer.session_id]
        if isinstance(decision, Allow) and self.requests.take_to_open(offer.session_id) is not None:
            await self._open(request, decision, DecidedBy.POLICY)
        else:
            await self._ask(request)

    async def _is_changed(self, offer: Offer) -> bool:
        """Return whether an id that people here have seen comes back with other contents: bait, and then a switch."""
        kept = await self._journal.offer(offer.session_id)
        return kept is not None and kept != canonical_json(offer.model_dump(mode="json"))

    def _stop_arriving(self, session_id: str, reason: Reason) -> None:
        if self._arriving[session_id] is None:
            self._arriving[session_id] = reason

    def _decide(self, offer: Offer) -> Allow | Ask | Refuse:
        if (offer.endpoint_id, offer.customer_id) != (self._endpoint_id, self._customer_id):
            _log.warning("refused %s: it is an offer for another endpoint", offer.session_id)
            return Refuse(Reason.POLICY)
        try:
            fingerprint_of(offer.ssh_public_key)
        except ValueError:
            _log.warning("refused %s: the engineer's key is none", offer.session_id)
            return Refuse(Reason.POLICY)
        if self.requests.is_full:
            return Refuse(Reason.TOO_MANY_SESSIONS)
        sessions = len(self.sessions) + self.requests.opening
        return decide(self._policy, State(self._mode(), sessions), offer, self._clock.now())

    async def _ask(self, request: Request) -> None:
        try:
            if await self._journal.standing(request.session_id) is None:
                await self._journal.append(SessionAsked(session_id=request.session_id), offer=request.offer)
        except JournalUnavailableError:
            if self.requests.take(request.session_id) is not None:
                self._record_refusal(request.offer, Reason.JOURNAL_UNAVAILABLE)
            return
        request.shown = True
        self.changed.set()
        _log.info("session %s waits for the customer's answer", request.session_id)

    async def _open(self, request: Request, allowed: Allowed, decided_by: DecidedBy) -> LiveSession | Reason:
        """Carry out a yes; return the session, or why there is none."""
        try:
            return await self._try_to_open(request, allowed, decided_by)
        finally:
            self.requests.opened(request)

    async def _try_to_open(self, request: Request, allowed: Allowed, decided_by: DecidedBy) -> LiveSession | Reason:
        policy = self._policy
        seconds = min(allowed.duration_seconds, seconds_open(policy, self._clock.now()))
        if seconds < MIN_DURATION_SECONDS:
            return self._refuse_opening(request.offer, Reason.OUTSIDE_WINDOW)
        if len(self.sessions) + self.requests.opening_before(request) >= policy.max_sessions:
            return self._refuse_opening(request.offer, Reason.TOO_MANY_SESSIONS)
        grant = grant_from_offer(request.offer, capabilities=allowed.capabilities, duration_seconds=seconds)
        try:
            sandbox = await self._start_sandbox(policy)
        except (SandboxError, OSError) as error:
            _log.warning("no sandbox for %s: %s", request.session_id, error)
            return self._refuse_opening(request.offer, Reason.SANDBOX_UNAVAILABLE)
        if self._mode() is AccessMode.OFF:
            request.stop_for(Reason.ACCESS_OFF)
        if not sandbox.is_alive:
            request.stop_for(Reason.SANDBOX_UNAVAILABLE)
        if request.stop is not None:
            await sandbox.kill()
            return self._refuse_opening(request.offer, request.stop)
        event = SessionGranted(
            session_id=grant.session_id,
            grant_digest=grant.digest(),
            engineer_key=request.engineer_key,
            capabilities=grant.capabilities,
            duration_seconds=grant.duration_seconds,
            decided_by=decided_by,
        )
        try:
            await self._journal.append(event, offer=request.offer)
        except JournalUnavailableError:
            await sandbox.kill()
            return self._refuse_opening(request.offer, Reason.JOURNAL_UNAVAILABLE)
        session = LiveSession(
            grant,
            sandbox,
            policy,
            asked=decided_by is not DecidedBy.POLICY,
            journal=self._journal,
            clock=self._clock,
            budget=self._budget.for_session(grant.session_id),
            on_cut=self._was_cut,
        )
        self.sessions.add(session)
        session.obey(self._policy)  # it may have changed meanwhile
        return await self._go_live(session, request)

    async def _go_live(self, session: LiveSession, request: Request) -> LiveSession | Reason:
        _log.info("session %s granted for %s", session.session_id, format_duration(session.grant.duration_seconds))
        self._tasks.start(self._watch(session), name=f"sandbox of {session.session_id}")
        self.changed.set()
        if request.stop is not None:
            await session.cut(_STOPPED_AS.get(request.stop, request.stop))
            return request.stop
        return session if session.is_live else Reason.POLICY_CHANGED

    async def _watch(self, session: LiveSession) -> None:
        await session.sandbox.wait_ended()
        session.cut(Reason.SANDBOX_DIED)

    def _was_cut(self, session: LiveSession) -> None:
        self.sessions.remove(session)
        self.changed.set()
        self._tasks.start(self._log_ending(session), name=f"last words on {session.session_id}")

    async def _log_ending(self, session: LiveSession) -> None:
        ending = await session.cut(Reason.SANDBOX_DIED)  # it has been cut: this only returns its task
        _log.info(
            "session %s ended: %s; %d processes left after %d ms",
            ending.session_id,
            ending.reason,
            ending.processes_left,
            round(ending.seconds * 1000),
        )

    def _refuse_opening(self, offer: Offer, reason: Reason) -> Reason:
        if reason not in (Reason.WITHDRAWN, Reason.UNANSWERED, Reason.ENDED_BY_ADMINISTRATOR):
            self._record_refusal(offer, reason)
        return reason

    def _record_refusal(self, offer: Offer, reason: Reason, opens_at: datetime | None = None) -> None:
        opens = None if opens_at is None else describe_opening(opens_at, self._policy.zone, self._clock.now())
        event = SessionRefused(session_id=offer.session_id, reason=reason, decided_by=DecidedBy.POLICY, opens=opens)
        self._journal.record(event, offer=offer)
        _log.info("session %s refused: %s", offer.session_id, reason)
