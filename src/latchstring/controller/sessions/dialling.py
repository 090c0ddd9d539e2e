"""Connects an engineer's SSH client to an endpoint, in a session that is live."""

from dataclasses import dataclass
from typing import Final

from latchstring.certs.ssh_authority import SshUserAuthority
from latchstring.controller.accounts.actor import Actor
from latchstring.controller.errors import RelayBusyError, StoreUnavailableError
from latchstring.controller.ports import IssuedDial
from latchstring.controller.sessions.dependencies import SessionDependencies
from latchstring.controller.store.records import Endpoint, Session
from latchstring.controller.store.store import UnitOfWork
from latchstring.protocol.api import DialRequest, DialResponse
from latchstring.protocol.endings import EXPLANATIONS
from latchstring.protocol.events import DialRefusal, SessionDialled, SessionDialRefused
from latchstring.protocol.messages import DialRelay
from latchstring.protocol.problems import ProblemCode, ProblemError
from latchstring.protocol.session_state import WAITING

_CODES: Final = {
    DialRefusal.NOT_LIVE: ProblemCode.NO_LIVE_SESSION,
    DialRefusal.ENDPOINT_OFFLINE: ProblemCode.ENDPOINT_OFFLINE,
    DialRefusal.RELAY_BUSY: ProblemCode.BUSY,
}


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """Where engineers and endpoints reach the relay."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class _Certified:
    """A session that may be dialled, and its certificate."""

    session: Session
    certificate: str


class _RefusedError(Exception):
    """A dial is refused, once that is logged."""

    def __init__(self, refusal: DialRefusal, detail: str, endpoint_id: str, customer_id: str) -> None:
        super().__init__(detail)
        self.refusal = refusal
        self.detail = detail
        self.endpoint_id = endpoint_id
        self.customer_id = customer_id


class DialService:
    """Gives both sides of a connection their tickets, once that is logged."""

    def __init__(
        self, dependencies: SessionDependencies, *, user_ca: SshUserAuthority, relay_address: RelayAddress
    ) -> None:
        self._dependencies = dependencies
        self._user_ca = user_ca
        self._relay_address = relay_address

    async def dial(self, actor: Actor, request: DialRequest) -> DialResponse:
        """Connect the actor to an endpoint, in the actor's newest session there that is live and not being closed.

        1. There is such a session, and its endpoint is connected. Make its certificate.
        2. Log the dial.
        3. Have the relay expect both sides, and tell the endpoint to come. A session that is cut after step 2 voids
           these tickets: nothing else runs between the log's commit and their issue.

        A refusal is logged before it is answered, or counted where an account has too many.

        Raises:
            ProblemError: ``unknown_endpoint``, ``no_live_session``, ``endpoint_offline`` or ``busy``.
            StoreUnavailableError: it cannot be logged now, or the authority's key cannot be reached.
        """
        try:
            async with self._dependencies.store.write() as tx:
                # 1.
                certified = await self._certify(tx, actor, request)
                # 2.
                session = certified.session
                dialled = SessionDialled(session_id=session.id, account_id=actor.account_id, source=actor.source)
                await self._dependencies.writer.record(tx, session.customer_id, dialled)
            # 3.
            return self._response(certified, self._issue(session))
        except _RefusedError as error:
            await self._log_refusal(actor, error)
            raise ProblemError(_CODES[error.refusal], error.detail) from error

    async def _certify(self, tx: UnitOfWork, actor: Actor, request: DialRequest) -> _Certified:
        endpoint = await tx.endpoints.by_name(request.endpoint)
        if endpoint is None:
            raise ProblemError(ProblemCode.UNKNOWN_ENDPOINT, f"there is no endpoint {request.endpoint}")
        session = await tx.sessions.newest_of(account_id=actor.account_id, endpoint_id=endpoint.id, live=True)
        if session is None or session.grant_digest is None:
            detail = await _why_not_live(tx, actor, endpoint)
            raise _RefusedError(DialRefusal.NOT_LIVE, detail, endpoint.id, endpoint.customer_id)
        if not self._dependencies.channels.is_connected(endpoint.id):
            raise _offline(session)
        try:
            certificate = self._user_ca.issue_user(
                session_id=session.id,
                endpoint_id=session.endpoint_id,
                public_key=session.ssh_public_key,
                grant_digest=session.grant_digest,
            )
        except OSError as error:
            raise StoreUnavailableError from error
        return _Certified(session, certificate)

    def _issue(self, session: Session) -> IssuedDial:
        try:
            issued = self._dependencies.relay.issue(session.id)
        except RelayBusyError as error:
            detail = "the relay is busy; close connections of this session, or try again in a minute"
            raise _RefusedError(DialRefusal.RELAY_BUSY, detail, session.endpoint_id, session.customer_id) from error
        message = DialRelay(
            session_id=session.id,
            dial_id=issued.dial_id,
            host=self._relay_address.host,
            port=self._relay_address.port,
            secret=issued.endpoint_secret.hex(),
        )
        if not self._dependencies.channels.send(session.endpoint_id, message):
            raise _offline(session)
        return issued

    def _response(self, certified: _Certified, issued: IssuedDial) -> DialResponse:
        return DialResponse(
            session_id=certified.session.id,
            certificate=certified.certificate,
            dial_id=issued.dial_id,
            relay_host=self._relay_address.host,
            relay_port=self._relay_address.port,
            secret=issued.engineer_secret.hex(),
        )

    async def _log_refusal(self, actor: Actor, refused: _RefusedError) -> None:
        event = SessionDialRefused(
            endpoint_id=refused.endpoint_id,
            account_id=actor.account_id,
            source=actor.source,
            refusal=refused.refusal,
        )
        await self._dependencies.refusals.record(refused.customer_id, event)


def _offline(session: Session) -> _RefusedError:
    detail = "the endpoint is not connected now; try again in a minute"
    return _RefusedError(DialRefusal.ENDPOINT_OFFLINE, detail, session.endpoint_id, session.customer_id)


async def _why_not_live(tx: UnitOfWork, actor: Actor, endpoint: Endpoint) -> str:
    open_one = f"open one with latch open {endpoint.name}"
    session = await tx.sessions.newest_of(account_id=actor.account_id, endpoint_id=endpoint.id, live=False)
    if session is None:
        return f"you have no session on {endpoint.name}; {open_one}"
    if session.state in WAITING:
        return f"your session on {endpoint.name} waits for the customer's consent"
    if session.reason is None:
        return f"your session on {endpoint.name} is being closed; {open_one}"
    return f"your session on {endpoint.name} is over: {EXPLANATIONS[session.reason]}; {open_one}"
