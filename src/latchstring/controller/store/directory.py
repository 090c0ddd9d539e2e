"""Customers, their endpoints, and the invitations that endpoints take up."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, Select, bindparam, select, update

from latchstring.controller.store.records import Customer, Endpoint, Invitation
from latchstring.controller.store.repository import Lookup, Repository
from latchstring.controller.store.schema import customers, endpoints, invitations
from latchstring.protocol.access import AccessMode

_ENDPOINT: Final = select(endpoints, customers.c.name.label("customer_name")).join(
    customers, endpoints.c.customer_id == customers.c.id
)
_ENDPOINT_BY_ID: Final = Lookup(_ENDPOINT.where(endpoints.c.id == bindparam("key")), endpoints)
_ENDPOINT_BY_NAME: Final = Lookup(
    _ENDPOINT.where(endpoints.c.name == bindparam("key"), endpoints.c.revoked_at.is_(None)), endpoints
)
_CHANGE_ENDPOINT: Final = update(endpoints).where(endpoints.c.id == bindparam("key"))
_INVITATION: Final = Lookup(select(invitations).where(invitations.c.public_key == bindparam("key")), invitations)


class CustomerRepository(Repository):
    """The customers."""

    async def add(self, customer: Customer) -> None:
        """Add a customer."""
        row = {"id": customer.id, "name": customer.name, "added_at": customer.added_at}
        await self._connection.execute(customers.insert(), row)

    async def by_id(self, customer_id: str) -> Customer | None:
        """Return the customer with this id."""
        return await self._one(select(customers).where(customers.c.id == customer_id))

    async def by_name(self, name: str) -> Customer | None:
        """Return the customer with exactly this name."""
        return await self._one(select(customers).where(customers.c.name == name))

    async def all(self) -> tuple[Customer, ...]:
        """Return all customers, by name."""
        rows = await self._connection.execute(select(customers).order_by(customers.c.name))
        return tuple(Customer(**row._mapping) for row in rows)  # noqa: SLF001 - the row's documented mapping

    async def _one(self, query: Select[Any]) -> Customer | None:
        row = (await self._connection.execute(query)).one_or_none()
        return None if row is None else Customer(**row._mapping)  # noqa: SLF001 - the row's documented mapping


class EndpointRepository(Repository):
    """The endpoints. A change to one begins with :meth:`by_id` or :meth:`by_name`, which lock its row in a write."""

    async def invite(self, *, endpoint_id: str, name: str, customer_id: str, at: datetime) -> None:
        """Add an endpoint that is invited."""
        row = {"id": endpoint_id, "name": name, "customer_id": customer_id, "invited_at": at}
        await self._connection.execute(endpoints.insert(), row)

    async def by_id(self, endpoint_id: str) -> Endpoint | None:
        """Return the endpoint with this id, also if it was revoked."""
        return await self._one(_ENDPOINT_BY_ID, endpoint_id)

    async def by_name(self, name: str) -> Endpoint | None:
        """Return the endpoint that bears this name now: one that was revoked does not."""
        return await self._one(_ENDPOINT_BY_NAME, name)

    async def all(self) -> tuple[Endpoint, ...]:
        """Return all endpoints that were not revoked, by name."""
        query = _ENDPOINT.where(endpoints.c.revoked_at.is_(None)).order_by(endpoints.c.name)
        return tuple(_endpoint(row) for row in await self._connection.execute(query))

    async def of_customer(self, customer_id: str) -> tuple[Endpoint, ...]:
        """Return every endpoint that the customer ever had, revoked ones too, by id."""
        query = _ENDPOINT.where(endpoints.c.customer_id == customer_id).order_by(endpoints.c.id)
        return tuple(_endpoint(row) for row in await self._connection.execute(query))

    async def enrol(self, endpoint_id: str, *, at: datetime, ssh_host_key: str, journal_key: str) -> None:
        """Keep the keys of an endpoint that took up its invitation."""
        await self._update(endpoint_id, {"enrolled_at": at, "ssh_host_key": ssh_host_key, "journal_key": journal_key})

    async def saw(
        self, endpoint_id: str, *, at: datetime, access: AccessMode, agent_version: str, clock_skew_seconds: int
    ) -> None:
        """Keep what an endpoint said when it connected."""
        await self._update(
            endpoint_id,
            {
                "last_seen_at": at,
                "access": access.value,
                "agent_version": agent_version,
                "clock_skew_seconds": clock_skew_seconds,
            },
        )

    async def left(self, endpoint_id: str, *, at: datetime) -> None:
        """Keep when an endpoint's channel went down."""
        await self._update(endpoint_id, {"last_seen_at": at})

    async def advance(self, endpoint_id: str, *, next_sequence: int, access: AccessMode | None) -> None:
        """Keep the sequence of the report that is wanted next, and the switch's mode if the reports changed it."""
        values: dict[str, Any] = {"next_sequence": next_sequence}
        if access is not None:
            values["access"] = access.value
        await self._update(endpoint_id, values)

    async def revoke(self, endpoint_id: str, *, at: datetime) -> None:
        """Strike an endpoint off; its name is free again."""
        await self._update(endpoint_id, {"revoked_at": at})

    async def revocations_to_do(self) -> tuple[Endpoint, ...]:
        """Return the revoked endpoints that the serving process has not cut off."""
        query = _ENDPOINT.where(endpoints.c.revoked_at.is_not(None), ~endpoints.c.revocation_done)
        return tuple(_endpoint(row) for row in await self._connection.execute(query))

    async def revocation_done(self, endpoint_id: str) -> None:
        """Keep that a revoked endpoint was cut off."""
        await self._update(endpoint_id, {"revocation_done": True})

    async def _update(self, endpoint_id: str, values: Mapping[str, Any]) -> None:
        await self._connection.execute(_CHANGE_ENDPOINT, {"key": endpoint_id, **values})

    async def _one(self, lookup: Lookup, key: str) -> Endpoint | None:
        row = (await self._connection.execute(self._form(lookup), {"key": key})).one_or_none()
        return None if row is None else _endpoint(row)


class InvitationRepository(Repository):
    """The invitations."""

    async def add(self, invitation: Invitation) -> None:
        """Add an invitation."""
        row = {
            "public_key": invitation.public_key,
            "endpoint_id": invitation.endpoint_id,
            "expires_at": invitation.expires_at,
        }
        await self._connection.execute(invitations.insert(), row)

    async def by_public_key(self, public_key: str) -> Invitation | None:
        """Return the invitation whose code has this public half (hex), also if it is void."""
        row = (await self._connection.execute(self._form(_INVITATION), {"key": public_key})).one_or_none()
        return None if row is None else Invitation(**row._mapping)  # noqa: SLF001 - the row's documented mapping

    async def use(self, public_key: str, *, at: datetime) -> None:
        """Keep that an invitation was taken up."""
        query = update(invitations).where(invitations.c.public_key == public_key).values(used_at=at)
        await self._connection.execute(query)

    async def void(self, endpoint_id: str, *, at: datetime) -> None:
        """Make the endpoint's invitations void."""
        query = update(invitations).where(invitations.c.endpoint_id == endpoint_id, invitations.c.voided_at.is_(None))
        await self._connection.execute(query.values(voided_at=at))


def _endpoint(row: Row[Any]) -> Endpoint:
    return Endpoint(
        id=row.id,
        name=row.name,
        customer_id=row.customer_id,
        customer_name=row.customer_name,
        invited_at=row.invited_at,
        enrolled_at=row.enrolled_at,
        revoked_at=row.revoked_at,
        ssh_host_key=row.ssh_host_key,
        journal_key=row.journal_key,
        next_sequence=row.next_sequence,
        access=None if row.access is None else AccessMode(row.access),
        agent_version=row.agent_version,
        last_seen_at=row.last_seen_at,
        clock_skew_seconds=row.clock_skew_seconds,
    )
