"""Accounts and their tokens."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, func, select, update

from latchstring.controller.store.records import Account, Token
from latchstring.controller.store.repository import Lookup, Repository
from latchstring.controller.store.schema import accounts, tokens
from latchstring.protocol.events import Role

_BY_EMAIL: Final = Lookup(select(accounts).where(accounts.c.email == bindparam("key")), accounts)
_OWNER: Final = (
    select(accounts, tokens.c.expires_at)
    .join(tokens, tokens.c.account_id == accounts.c.id)
    .where(tokens.c.sha256 == bindparam("key"))
)


class AccountRepository(Repository):
    """The accounts. E-mail addresses are in lower case."""

    async def add(self, account: Account) -> None:
        """Add an account."""
        row = {
            "id": account.id,
            "email": account.email,
            "name": account.name,
            "role": account.role.value,
            "password_hash": account.password_hash,
            "created_at": account.created_at,
        }
        await self._connection.execute(accounts.insert(), row)

    async def save(self, account: Account) -> None:
        """Keep an account's role and password, and whether it is disabled."""
        values = {
            "role": account.role.value,
            "password_hash": account.password_hash,
            "disabled_at": account.disabled_at,
        }
        await self._connection.execute(update(accounts).where(accounts.c.id == account.id).values(values))

    async def by_email(self, email: str) -> Account | None:
        """Return the account with this address; in a write its row is locked."""
        row = (await self._connection.execute(self._form(_BY_EMAIL), {"key": email})).one_or_none()
        return None if row is None else _account(row)

    async def count_active(self, role: Role) -> int:
        """Return how many accounts have this role and are not disabled."""
        query = select(func.count()).where(accounts.c.role == role.value, accounts.c.disabled_at.is_(None))
        return int((await self._connection.execute(query)).scalar_one())

    async def all(self) -> tuple[Account, ...]:
        """Return all accounts, by address."""
        rows = await self._connection.execute(select(accounts).order_by(accounts.c.email))
        return tuple(_account(row) for row in rows)


class TokenRepository(Repository):
    """The tokens that were given out."""

    async def add(self, token: Token) -> None:
        """Add a token."""
        row = {"sha256": token.sha256, "account_id": token.account_id, "expires_at": token.expires_at}
        await self._connection.execute(tokens.insert(), row)

    async def owner(self, sha256: str) -> tuple[Token, Account] | None:
        """Return the token with this SHA-256 (hex), also if it expired, and its account."""
        row = (await self._connection.execute(_OWNER, {"key": sha256})).one_or_none()
        if row is None:
            return None
        return Token(sha256=sha256, account_id=row.id, expires_at=row.expires_at), _account(row)

    async def remove(self, sha256: str) -> None:
        """Remove a token; one that is not there is no error."""
        await self._connection.execute(delete(tokens).where(tokens.c.sha256 == sha256))

    async def remove_of(self, account_id: str) -> None:
        """Remove every token of an account."""
        await self._connection.execute(delete(tokens).where(tokens.c.account_id == account_id))

    async def any_expired(self, *, before: datetime) -> bool:
        """Return whether there are tokens that expired before that time."""
        query = select(tokens.c.sha256).where(tokens.c.expires_at < before).limit(1)
        return (await self._connection.execute(query)).one_or_none() is not None

    async def remove_expired(self, *, before: datetime) -> None:
        """Remove the tokens that expired before that time."""
        await self._connection.execute(delete(tokens).where(tokens.c.expires_at < before))


def _account(row: Row[Any]) -> Account:
    return Account(
        id=row.id,
        email=row.email,
        name=row.name,
        role=Role(row.role),
        created_at=row.created_at,
        password_hash=row.password_hash,
        disabled_at=row.disabled_at,
    )
