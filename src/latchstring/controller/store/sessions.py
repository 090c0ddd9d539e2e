"""Sessions. What state follows from what is not decided here: see ``controller/sessions/lifecycle.py``."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, Select, bindparam, func, or_, select, update

from latchstring.controller.store.records import Session
from latchstring.controller.store.repository import Lookup, Repository
from latchstring.controller.store.schema import accounts, customers, endpoints, sessions
from latchstring.protocol.endings import Reason
from latchstring.protocol.events import Role
from latchstring.protocol.grants import Engineer
from latchstring.protocol.purposes import Purpose
from latchstring.protocol.session_state import LIVE, WAITING, SessionState

_SESSION: Final = (
    select(
        sessions,
        endpoints.c.name.label("endpoint_name"),
        endpoints.c.customer_id,
        customers.c.name.label("customer_name"),
        accounts.c.name.label("engineer_name"),
        accounts.c.email,
    )
    .join(endpoints, sessions.c.endpoint_id == endpoints.c.id)
    .join(customers, endpoints.c.customer_id == customers.c.id)
    .join(accounts, sessions.c.account_id == accounts.c.id)
)
_SESSION_BY_ID: Final = Lookup(_SESSION.where(sessions.c.id == bindparam("key")), sessions)
_CHANGE_SESSION: Final = update(sessions).where(sessions.c.id == bindparam("key"))
_NEWEST_FIRST: Final = (sessions.c.requested_at.desc(), sessions.c.id.desc())
_OPEN: Final = sessions.c.ended_at.is_(None)


class SessionRepository(Repository):
    """The sessions. *Open* means waiting or live: not ended."""

    async def add(self, session: Session) -> None:
        """Add a session that was just requested."""
        row = {
            "id": session.id,
            "endpoint_id": session.endpoint_id,
            "account_id": session.engineer.account_id,
            "ssh_public_key": session.ssh_public_key,
            "purpose": session.purpose.value,
            "ticket": session.ticket,
            "note": session.note,
            "requested_capabilities": session.requested_capabilities,
            "requested_seconds": session.requested_seconds,
            "requested_at": session.requested_at,
            "state": session.state.value,
        }
        await self._connection.execute(sessions.insert(), row)

    async def save(self, session: Session) -> None:
        """Keep what changed since the session was requested."""
        values = {
            "key": session.id,
            "state": session.state.value,
            "grant_digest": session.grant_digest,
            "capabilities": session.capabilities,
            "granted_seconds": session.granted_seconds,
            "granted_at": session.granted_at,
            "expires_at": session.expires_at,
            "close_reason": session.close_reason,
            "ended_at": session.ended_at,
            "reason": session.reason,
            "opens": session.opens,
        }
        await self._connection.execute(_CHANGE_SESSION, values)

    async def by_id(self, session_id: str) -> Session | None:
        """Return the session with this id; in a write its row is locked."""
        row = (await self._connection.execute(self._form(_SESSION_BY_ID), {"key": session_id})).one_or_none()
        return None if row is None else _session(row)

    async def newest(self, *, account_id: str | None, limit: int) -> tuple[Session, ...]:
        """Return the newest sessions of an account, or of all, newest first."""
        query = _SESSION.order_by(*_NEWEST_FIRST).limit(limit)
        return await self._all(query if account_id is None else query.where(sessions.c.account_id == account_id))

    async def newest_of(self, *, account_id: str, endpoint_id: str, live: bool) -> Session | None:
        """Return the account's newest session on an endpoint, of all or of those that are live and not being closed."""
        query = _SESSION.where(sessions.c.account_id == account_id, sessions.c.endpoint_id == endpoint_id)
        if live:
            query = query.where(_in(LIVE), _OPEN, sessions.c.close_reason.is_(None))
        found = await self._all(query.order_by(*_NEWEST_FIRST).limit(1))
        return found[0] if found else None

    async def open_at(self, endpoint_id: str) -> tuple[Session, ...]:
        """Return the open sessions of an endpoint, oldest first."""
        query = _SESSION.where(sessions.c.endpoint_id == endpoint_id, _OPEN)
        return await self._all(query.order_by(sessions.c.requested_at, sessions.c.id))

    async def open_of(self, account_id: str) -> tuple[Session, ...]:
        """Return the open sessions of an account, oldest first."""
        query = _SESSION.where(sessions.c.account_id == account_id, _OPEN)
        return await self._all(query.order_by(sessions.c.requested_at, sessions.c.id))

    async def count_open(self, *, account_id: str | None = None, endpoint_id: str | None = None) -> int:
        """Return how many sessions are open: of an account, at an endpoint, or of an account at an endpoint."""
        query = select(func.count()).select_from(sessions).where(_OPEN)
        if account_id is not None:
            query = query.where(sessions.c.account_id == account_id)
        if endpoint_id is not None:
            query = query.where(sessions.c.endpoint_id == endpoint_id)
        return int((await self._connection.execute(query)).scalar_one())

    async def count_live(self) -> dict[str, int]:
        """Return how many sessions are live at each endpoint that has any."""
        query = select(sessions.c.endpoint_id, func.count()).where(_in(LIVE), _OPEN).group_by(sessions.c.endpoint_id)
        rows = await self._connection.execute(query)
        return {endpoint_id: int(count) for endpoint_id, count in rows.all()}

    async def endpoints_with_open(self) -> tuple[str, ...]:
        """Return the ids of the endpoints that have open sessions."""
        rows = await self._connection.execute(select(sessions.c.endpoint_id).where(_OPEN).distinct())
        return tuple(rows.scalars())

    async def waiting_since(self, moment: datetime) -> tuple[Session, ...]:
        """Return the sessions that were requested by then and still wait for a decision."""
        return await self._all(_SESSION.where(_in(WAITING), _OPEN, sessions.c.requested_at <= moment))

    async def live_beyond(self, moment: datetime) -> tuple[Session, ...]:
        """Return the sessions that are live although their time was up by then."""
        return await self._all(_SESSION.where(_in(LIVE), _OPEN, sessions.c.expires_at <= moment))

    async def closing(self) -> tuple[Session, ...]:
        """Return the sessions that are open although the vendor ended them, or has barred their account."""
        return await self._all(_SESSION.where(_OPEN, sessions.c.close_reason.is_not(None)))

    async def accounts_to_bar(self, *, may_hold: Iterable[Role]) -> tuple[str, ...]:
        """Return the accounts that are disabled or of another role, and have open sessions that nobody has ended."""
        barred = or_(
            accounts.c.disabled_at.is_not(None), accounts.c.role.not_in(sorted(role.value for role in may_hold))
        )
        query = (
            select(sessions.c.account_id)
            .join(accounts, sessions.c.account_id == accounts.c.id)
            .where(_OPEN, sessions.c.close_reason.is_(None), barred)
            .distinct()
        )
        return tuple((await self._connection.execute(query)).scalars())

    async def _all(self, query: Select[Any]) -> tuple[Session, ...]:
        return tuple(_session(row) for row in await self._connection.execute(query))


def _in(states: Iterable[SessionState]) -> Any:
    return sessions.c.state.in_(sorted(state.value for state in states))


def _session(row: Row[Any]) -> Session:
    return Session(
        id=row.id,
        endpoint_id=row.endpoint_id,
        endpoint_name=row.endpoint_name,
        customer_id=row.customer_id,
        customer_name=row.customer_name,
        engineer=Engineer(account_id=row.account_id, name=row.engineer_name, email=row.email),
        ssh_public_key=row.ssh_public_key,
        purpose=Purpose(row.purpose),
        ticket=row.ticket,
        note=row.note,
        requested_capabilities=row.requested_capabilities,
        requested_seconds=row.requested_seconds,
        requested_at=row.requested_at,
        state=SessionState(row.state),
        grant_digest=row.grant_digest,
        capabilities=row.capabilities,
        granted_seconds=row.granted_seconds,
        granted_at=row.granted_at,
        expires_at=row.expires_at,
        close_reason=None if row.close_reason is None else Reason(row.close_reason),
        ended_at=row.ended_at,
        reason=None if row.reason is None else Reason(row.reason),
        opens=row.opens,
    )
