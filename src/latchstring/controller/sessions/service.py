"""What engineers and auditors do with sessions: ask, look, wait, end."""

from typing import Final

from latchstring.certs.ssh_public_key import format_public_key, key_fingerprint, parse_public_key
from latchstring.controller.accounts.actor import Actor
from latchstring.controller.keyed_rates import KeyedRates
from latchstring.controller.sessions.closing import close_session
from latchstring.controller.sessions.dependencies import SessionDependencies
from latchstring.controller.sessions.views import session_view
from latchstring.controller.store.records import Endpoint, Session
from latchstring.controller.store.store import UnitOfWork
from latchstring.protocol.api import MAX_PAGE, SessionList, SessionRequest, SessionView
from latchstring.protocol.events import RelayClosed, RequestRefusal, SessionRequested, SessionRequestRefused
from latchstring.protocol.ids import RANDOM_BYTES, make_id
from latchstring.protocol.messages import Offer
from latchstring.protocol.offer_rate import CONTROLLER_OFFER_BURST, CONTROLLER_SECONDS_PER_OFFER
from latchstring.protocol.problems import ProblemCode, ProblemError
from latchstring.protocol.session_state import WAITING, SessionState

MAX_OPEN_PER_ACCOUNT: Final = 100
MAX_OPEN_PER_ENDPOINT: Final = 100
MAX_OPEN_PER_ACCOUNT_AT_ENDPOINT: Final = 50
"""Fewer than an endpoint's, so that no single account takes all of them."""

_REFUSALS: Final = {
    RequestRefusal.ROLE: (ProblemCode.WRONG_ROLE, "opening a session needs the role engineer or admin"),
    RequestRefusal.ENDPOINT_OFFLINE: (
        ProblemCode.ENDPOINT_OFFLINE,
        "the endpoint is not connected; ask the customer whether its machine is on and online",
    ),
    RequestRefusal.TOO_MANY_SESSIONS: (
        ProblemCode.TOO_MANY_SESSIONS,
        "too many sessions are open, of yours or at this endpoint; close some",
    ),
    RequestRefusal.TOO_MANY_REQUESTS: (
        ProblemCode.TOO_MANY_REQUESTS,
        "this endpoint was asked for too many sessions in a short time; try again in a minute",
    ),
}


class SessionService:
    """Sessions, as people may touch them.

    Raises (all methods):
        StoreUnavailableError: it cannot be read or logged now; no state was changed.
        ProblemError: ``unknown_session``, also for a session that the actor may not see.
    """

    def __init__(self, dependencies: SessionDependencies) -> None:
        self._dependencies = dependencies
        self._offers = KeyedRates(rate=1 / CONTROLLER_SECONDS_PER_OFFER, burst=CONTROLLER_OFFER_BURST)
        # A third of that for each account, so that no single one takes all of an endpoint's.
        self._offers_of_account = KeyedRates(
            rate=1 / (3 * CONTROLLER_SECONDS_PER_OFFER), burst=CONTROLLER_OFFER_BURST // 3
        )

    async def request(self, actor: Actor, request: SessionRequest) -> SessionView:
        """Ask for a session. It is logged, and then offered to its endpoint.

        A refusal by the controller itself is logged too, or counted where an account has too many.

        Raises:
            ProblemError: ``unknown_endpoint``, ``bad_request`` (the key), ``wrong_role``, ``endpoint_offline``,
                ``too_many_sessions`` or ``too_many_requests``.
        """
        key = _engineer_key(request)
        async with self._dependencies.store.write() as tx:
            endpoint = await _enrolled(tx, request.endpoint)
            refusal = await self._refusal(tx, actor, endpoint)
            if refusal is None:
                session = await self._add(tx, actor, endpoint, request, key)
        if refusal is not None:
            await self._log_refusal(actor, endpoint, request, refusal)
            raise ProblemError(*_REFUSALS[refusal])
        # If the endpoint has gone meanwhile, it is offered when it comes back, or lost with its endpoint.
        self._dependencies.channels.send(endpoint.id, Offer(offer=session.offer()))
        return session_view(session)

    async def view(self, actor: Actor, session_id: str) -> SessionView:
        """Return a session: one's own, or any for those who audit."""
        async with self._dependencies.store.read() as tx:
            return session_view(await _visible(tx, actor, session_id))

    async def list(self, actor: Actor, limit: int, everybody: bool) -> SessionList:  # noqa: FBT001 - a query's flag
        """Return the newest sessions, one's own or everybody's.

        Raises:
            ProblemError: ``wrong_role``: everybody's are for those who audit.
        """
        if everybody and not actor.may_audit:
            raise ProblemError(ProblemCode.WRONG_ROLE, "seeing everybody's sessions needs the role auditor or admin")
        account_id = None if everybody else actor.account_id
        async with self._dependencies.store.read() as tx:
            found = await tx.sessions.newest(account_id=account_id, limit=max(1, min(limit, MAX_PAGE)))
        return SessionList(sessions=tuple(session_view(session) for session in found))

    async def wait_while_waiting(self, actor: Actor, session_id: str, seconds: float) -> SessionView:
        """Return a session as soon as it is decided, or as it is after ``seconds``."""
        clock = self._dependencies.clock
        deadline = clock.monotonic() + seconds
        with self._dependencies.bus.subscribe(session_id) as changes:
            while True:
                view = await self.view(actor, session_id)
                left = deadline - clock.monotonic()
                if view.state not in WAITING or left <= 0 or not await changes.wait(left):
                    break
        # A wait that ended in time may have ended with the change.
        return view if view.state not in WAITING else await self.view(actor, session_id)

    async def close(self, actor: Actor, session_id: str) -> SessionView:
        """Take a request back, or end a live session; closing again is no error.

        A live session is cut at the relay before anything else. Its state follows when its endpoint reports that it is
        over, or is lost.

        Raises:
            ProblemError: ``wrong_role``: it is somebody else's, and the actor is no admin.
        """
        async with self._dependencies.store.read() as tx:
            session = await _visible(tx, actor, session_id)
        if session.engineer.account_id != actor.account_id and not actor.may_administer:
            raise ProblemError(ProblemCode.WRONG_ROLE, "ending somebody else's session needs the role admin")
        return session_view(await close_session(self._dependencies, actor, session))

    async def relay_closed(self, session_id: str, bytes_from_engineer: int, bytes_from_endpoint: int) -> None:
        """Log that a relayed connection of a session ended."""
        event = RelayClosed(
            session_id=session_id, bytes_from_engineer=bytes_from_engineer, bytes_from_endpoint=bytes_from_endpoint
        )
        async with self._dependencies.store.write() as tx:
            session = await tx.sessions.by_id(session_id)
            if session is not None:
                await self._dependencies.writer.record(tx, session.customer_id, event)

    async def _refusal(self, tx: UnitOfWork, actor: Actor, endpoint: Endpoint) -> RequestRefusal | None:
        if not actor.may_open_sessions:
            return RequestRefusal.ROLE
        if not self._dependencies.channels.is_connected(endpoint.id):
            return RequestRefusal.ENDPOINT_OFFLINE
        if await _too_many_open(tx, actor, endpoint):
            return RequestRefusal.TOO_MANY_SESSIONS
        now = self._dependencies.clock.monotonic()
        if not self._offers_of_account.take(f"{actor.account_id} {endpoint.id}", now):
            return RequestRefusal.TOO_MANY_REQUESTS
        if not self._offers.take(endpoint.id, now):
            return RequestRefusal.TOO_MANY_REQUESTS
        return None

    async def _add(
        self, tx: UnitOfWork, actor: Actor, endpoint: Endpoint, request: SessionRequest, key: str
    ) -> Session:
        session = Session(
            id=make_id("ses", self._dependencies.random(RANDOM_BYTES)),
            endpoint_id=endpoint.id,
            endpoint_name=endpoint.name,
            customer_id=endpoint.customer_id,
            customer_name=endpoint.customer_name,
            engineer=actor.engineer(),
            ssh_public_key=key,
            purpose=request.purpose,
            ticket=request.ticket,
            note=request.note,
            requested_capabilities=request.capabilities,
            requested_seconds=request.duration_seconds,
            requested_at=self._dependencies.clock.now(),
            state=SessionState.REQUESTED,
        )
        await tx.sessions.add(session)
        await self._dependencies.writer.record(tx, session.customer_id, _requested(session, actor))
        return session

    async def _log_refusal(
        self, actor: Actor, endpoint: Endpoint, request: SessionRequest, refusal: RequestRefusal
    ) -> None:
        event = SessionRequestRefused(
            endpoint_id=endpoint.id,
            account_id=actor.account_id,
            source=actor.source,
            purpose=request.purpose,
            ticket=request.ticket,
            refusal=refusal,
        )
        await self._dependencies.refusals.record(endpoint.customer_id, event)


def _engineer_key(request: SessionRequest) -> str:
    """Return the engineer's key in its one canonical form."""
    try:
        return format_public_key(parse_public_key(request.ssh_public_key))
    except ValueError as error:
        raise ProblemError(ProblemCode.BAD_REQUEST, f"ssh_public_key: {error}") from error


async def _enrolled(tx: UnitOfWork, name: str) -> Endpoint:
    endpoint = await tx.endpoints.by_name(name)
    if endpoint is None:
        raise ProblemError(
            ProblemCode.UNKNOWN_ENDPOINT, f"there is no endpoint {name}; latch endpoints lists those that there are"
        )
    if not endpoint.is_enrolled:
        raise ProblemError(
            ProblemCode.UNKNOWN_ENDPOINT, f"endpoint {name} was invited, but no machine has enrolled as it yet"
        )
    return endpoint


async def _too_many_open(tx: UnitOfWork, actor: Actor, endpoint: Endpoint) -> bool:
    of_account = await tx.sessions.count_open(account_id=actor.account_id)
    at_endpoint = await tx.sessions.count_open(endpoint_id=endpoint.id)
    of_both = await tx.sessions.count_open(account_id=actor.account_id, endpoint_id=endpoint.id)
    return (
        of_account >= MAX_OPEN_PER_ACCOUNT
        or at_endpoint >= MAX_OPEN_PER_ENDPOINT
        or of_both >= MAX_OPEN_PER_ACCOUNT_AT_ENDPOINT
    )


async def _visible(tx: UnitOfWork, actor: Actor, session_id: str) -> Session:
    session = await tx.sessions.by_id(session_id)
    if session is None or not (actor.may_audit or session.engineer.account_id == actor.account_id):
        raise ProblemError(ProblemCode.UNKNOWN_SESSION, "there is no such session, or it is not yours")
    return session


def _requested(session: Session, actor: Actor) -> SessionRequested:
    return SessionRequested(
        session_id=session.id,
        endpoint_id=session.endpoint_id,
        account_id=actor.account_id,
        source=actor.source,
        purpose=session.purpose,
        ticket=session.ticket,
        note=session.note,
        capabilities=session.requested_capabilities,
        duration_seconds=session.requested_seconds,
        engineer_key=key_fingerprint(parse_public_key(session.ssh_public_key)),
    )
