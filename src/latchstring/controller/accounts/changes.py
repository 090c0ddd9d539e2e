"""What an administrator changes about an account: whether it may sign in, its password, its role.

Each change is logged in the transaction that makes it. What it takes away is gone with that transaction: tokens are
void, and what is open of an account that may hold no sessions any more is marked, so that the serving process ends it,
whichever process this is.
"""

from dataclasses import replace

from latchstring.controller.accounts.actor import MAY_HOLD_SESSIONS
from latchstring.controller.accounts.email import normalise_email
from latchstring.controller.accounts.passwords import Passwords, require_strength
from latchstring.controller.errors import LastAdminError, UnknownNameError
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.controller.log.writer import LogWriter
from latchstring.controller.ports import Clock
from latchstring.controller.sessions.barring import bar_sessions
from latchstring.controller.store.records import Account
from latchstring.controller.store.store import Store, UnitOfWork
from latchstring.protocol.events import (
    AccountDisabled,
    AccountEnabled,
    AccountPasswordChanged,
    AccountRoleChanged,
    Role,
)


class AccountChanges:
    """Changes to accounts, which are known by their address. A change to what is so already changes and logs nothing.

    Raises (all methods):
        UnknownNameError: there is no such account.
        StoreUnavailableError: it cannot be logged now; nothing was changed.
    """

    def __init__(self, store: Store, writer: LogWriter, clock: Clock, passwords: Passwords | None = None) -> None:
        self._store = store
        self._writer = writer
        self._clock = clock
        self._passwords = passwords or Passwords()

    async def disable(self, email: str, *, even_the_last_admin: bool = False) -> None:
        """Lock an account out: void its tokens, refuse its sign-ins, end its sessions, withdraw its requests.

        Raises:
            LastAdminError: no other administrator is left, and the caller did not say that this is meant.
        """
        async with self._store.write() as tx:
            account = await _known(tx, email)
            if account.disabled_at is not None:
                return
            if not even_the_last_admin:
                await _require_other_admin(tx, account)
            await tx.accounts.save(replace(account, disabled_at=self._clock.now()))
            await tx.tokens.remove_of(account.id)
            await self._writer.record(tx, OPERATOR_LOG, AccountDisabled(account_id=account.id))
            await bar_sessions(tx, self._writer, account.id)

    async def enable(self, email: str) -> None:
        """Let an account sign in again. Its older tokens stay void, and what was ended stays so."""
        async with self._store.write() as tx:
            account = await _known(tx, email)
            if account.disabled_at is None:
                return
            await tx.accounts.save(replace(account, disabled_at=None))
            await self._writer.record(tx, OPERATOR_LOG, AccountEnabled(account_id=account.id))

    async def set_password(self, email: str, password: str) -> None:
        """Give an account another password, and void its tokens; its sessions go on.

        Raises:
            WeakPasswordError: the password is too short.
        """
        require_strength(password)
        password_hash = await self._passwords.hash(password)
        async with self._store.write() as tx:
            account = await _known(tx, email)
            await tx.accounts.save(replace(account, password_hash=password_hash))
            await tx.tokens.remove_of(account.id)
            await self._writer.record(tx, OPERATOR_LOG, AccountPasswordChanged(account_id=account.id))

    async def set_role(self, email: str, role: Role, *, even_the_last_admin: bool = False) -> None:
        """Give an account another role, which holds at once. If it may hold no sessions any more, they end.

        Raises:
            LastAdminError: no other administrator is left, and the caller did not say that this is meant.
        """
        async with self._store.write() as tx:
            account = await _known(tx, email)
            if account.role is role:
                return
            if not even_the_last_admin:
                await _require_other_admin(tx, account)
            await tx.accounts.save(replace(account, role=role))
            await self._writer.record(tx, OPERATOR_LOG, AccountRoleChanged(account_id=account.id, role=role))
            if role not in MAY_HOLD_SESSIONS:
                await bar_sessions(tx, self._writer, account.id)


async def _known(tx: UnitOfWork, email: str) -> Account:
    account = await tx.accounts.by_email(normalise_email(email))
    if account is None:
        raise UnknownNameError(f"there is no account {normalise_email(email)!r}; see latch-controller user list")
    return account


async def _require_other_admin(tx: UnitOfWork, account: Account) -> None:
    """Check that an administrator is left without this account."""
    is_one = account.role is Role.ADMIN and account.disabled_at is None
    if is_one and await tx.accounts.count_active(Role.ADMIN) == 1:
        raise LastAdminError(
            f"{account.email} is the last administrator; if that is what you want, say --even-the-last-admin"
        )
