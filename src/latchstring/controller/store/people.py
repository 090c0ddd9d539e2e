"""Accounts and their tokens."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, select

from latchstring.controller.store.records import Account, Token
from latchstring.controller.store.repository import Repository
from latchstring.controller.store.schema import accounts, tokens
from latchstring.protocol.events import Role

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

    async def by_email(self, email: str) -> Account | None:
        """Return the account with this address."""
        row = (await self._connection.execute(select(accounts).where(accounts.c.email == email))).one_or_none()
        return None if row is None else _account(row)

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
    )
