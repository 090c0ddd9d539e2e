"""Accounts: making them, signing in and out, and whom a token stands for.

A token is 256 random bits, shown once; the database holds its SHA-256. It lives for :data:`TOKEN_LIFE` from the sign-in
by the wall clock, and is void at once when it is given back.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pydantic import TypeAdapter

from latchstring.controller.accounts.actor import Actor
from latchstring.controller.accounts.attempts import FailedAttempts, Hearing
from latchstring.controller.accounts.email import normalise_email
from latchstring.controller.accounts.passwords import Passwords, require_strength
from latchstring.controller.errors import NameTakenError
from latchstring.controller.keyed_rates import KeyedRates
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.controller.log.refusals import RefusalLog
from latchstring.controller.log.writer import LogWriter
from latchstring.controller.ports import Clock, Random
from latchstring.controller.store.records import Account, Token
from latchstring.controller.store.store import Store
from latchstring.protocol import events
from latchstring.protocol.events import LoginFailure, Role
from latchstring.protocol.grants import EmailAddress
from latchstring.protocol.ids import RANDOM_BYTES, make_id
from latchstring.protocol.plain_text import DisplayName
from latchstring.protocol.problems import ProblemCode, ProblemError

TOKEN_LIFE: Final = timedelta(hours=12)
TOKEN_BYTES: Final = 32
MAX_TOKEN_CHARACTERS: Final = 200
SIGN_IN_BURST: Final = 300.0
SECONDS_PER_SIGN_IN: Final = 60.0

_EMAIL: Final[TypeAdapter[str]] = TypeAdapter(EmailAddress)
_NAME: Final[TypeAdapter[str]] = TypeAdapter(DisplayName)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A sign-in: its token, which is shown once, and who signed in."""

    token: str = field(repr=False)
    expires_at: datetime
    actor: Actor


class AccountService:
    """The vendor's accounts.

    Raises (all methods):
        StoreUnavailableError: it cannot be read or logged now; nothing was changed.
    """

    def __init__(  # noqa: PLR0917 - what it is composed of; the composition root alone calls it
        self,
        store: Store,
        writer: LogWriter,
        refusals: RefusalLog,
        clock: Clock,
        random: Random,
        passwords: Passwords | None = None,
    ) -> None:
        self._store = store
        self._writer = writer
        self._refusals = refusals
        self._clock = clock
        self._random = random
        self._passwords = passwords or Passwords()
        self._attempts = FailedAttempts()
        self._sign_ins = KeyedRates(rate=1 / SECONDS_PER_SIGN_IN, burst=SIGN_IN_BURST)

    async def create(self, email: str, name: str, role: Role, password: str) -> str:
        """Make an account and return its id.

        Raises:
            ValueError: the address or the name has not its form.
            WeakPasswordError: the password is too short.
            NameTakenError: there is an account with this address.
        """
        email, name = _EMAIL.validate_python(normalise_email(email)), _NAME.validate_python(name)
        require_strength(password)
        account = Account(
            id=make_id("acc", self._random(RANDOM_BYTES)),
            email=email,
            name=name,
            role=role,
            created_at=self._clock.now(),
            password_hash=await self._passwords.hash(password),
        )
        async with self._store.write() as tx:
            if await tx.accounts.by_email(email) is not None:
                raise NameTakenError(f"there is an account {email} already")
            await tx.accounts.add(account)
            created = events.AccountCreated(account_id=account.id, role=role)
            await self._writer.record(tx, OPERATOR_LOG, created)
        return account.id

    async def list(self) -> tuple[Account, ...]:
        """Return all accounts, by address."""
        async with self._store.read() as tx:
            return await tx.accounts.all()

    async def login(self, email: str, password: str, source: str) -> IssuedToken:
        """Sign in from ``source`` (an IP address).

        1. An account or a source with too many failures is not heard; the first time in a window that is logged.
        2. The password is verified; where there is no such account, against a hash that fits nobody.
        3. A failure is logged, or counted where there are too many. An account that is disabled gets the answer to a
           wrong password, after the same work.
        4. An account that signs in without pause has to wait: each sign-in is logged, and its token kept.
        5. A token is issued in the transaction that logs the success, unless the account was changed meanwhile.

        Raises:
            ProblemError: ``login_failed``, ``too_many_attempts`` or ``busy``.
        """
        email = normalise_email(email)
        async with self._store.read() as tx:
            account = await tx.accounts.by_email(email)
        account_id = None if account is None else account.id
        # 1.
        hearing = self._attempts.begin(email, source, self._clock.monotonic())
        if hearing is Hearing.BLOCKED:
            await self._log_failure(account_id, source, LoginFailure.TOO_MANY_ATTEMPTS)
        elif hearing is Hearing.BLOCKED_AGAIN:
            self._refusals.count(_failed(account_id, source, LoginFailure.TOO_MANY_ATTEMPTS))
        if hearing is not Hearing.HEARD:
            raise ProblemError(
                ProblemCode.TOO_MANY_ATTEMPTS, "too many failed attempts to sign in; try again in 15 minutes"
            )
        # 2.
        holds = await self._passwords.verify(None if account is None else account.password_hash, password)
        # 3.
        if account is None or account.disabled_at is not None or not holds:
            await self._log_failure(account_id, source, _failure(account))
            raise _login_failed()
        self._attempts.succeeded(email, source)
        # 4.
        if not self._sign_ins.take(account.id, self._clock.monotonic()):
            await self._log_failure(account_id, source, LoginFailure.TOO_MANY_ATTEMPTS)
            raise ProblemError(
                ProblemCode.TOO_MANY_ATTEMPTS, "too many sign-ins of this account lately; try again in a minute"
            )
        # 5.
        return await self._sign_in(account, source)

    async def authenticate(self, token: str, source: str) -> Actor:
        """Return who holds ``token``, asking from ``source``.

        Raises:
            ProblemError: ``not_authenticated`` or ``login_expired``.
        """
        digest = _digest(token)
        async with self._store.read() as tx:
            found = await tx.tokens.owner(digest)
        if found is None or found[1].disabled_at is not None:
            raise ProblemError(ProblemCode.NOT_AUTHENTICATED, "you are not signed in; run latch login")
        held, account = found
        if held.expires_at <= self._clock.now():
            raise ProblemError(ProblemCode.LOGIN_EXPIRED, "your sign-in has expired; run latch login again")
        return _actor(account, source)

    async def logout(self, token: str, source: str) -> None:
        """Make ``token`` void. One that is void or unknown already is no error."""
        digest = _digest(token)
        async with self._store.write() as tx:
            found = await tx.tokens.owner(digest)
            if found is None:
                return
            await tx.tokens.remove(digest)
            ended = events.LoggedOut(account_id=found[1].id, source=source)
            await self._writer.record(tx, OPERATOR_LOG, ended)

    async def deny(self, actor: Actor, operation: str) -> None:
        """Log, or count, that an account asked for what its role does not allow. ``operation`` is of ``[a-z_]``."""
        denied = events.PermissionDenied(account_id=actor.account_id, source=actor.source, operation=operation)
        await self._refusals.record(OPERATOR_LOG, denied)

    async def _sign_in(self, verified: Account, source: str) -> IssuedToken:
        token = base64.urlsafe_b64encode(self._random(TOKEN_BYTES)).decode().rstrip("=")
        expires_at = self._clock.now() + TOKEN_LIFE
        async with self._store.write() as tx:
            account = await tx.accounts.by_email(verified.email)
            if account is None or account.disabled_at is not None or account.password_hash != verified.password_hash:
                raise _login_failed()
            await tx.tokens.add(Token(sha256=_digest(token), account_id=account.id, expires_at=expires_at))
            succeeded = events.LoginSucceeded(account_id=account.id, source=source)
            await self._writer.record(tx, OPERATOR_LOG, succeeded)
        return IssuedToken(token=token, expires_at=expires_at, actor=_actor(account, source))

    async def _log_failure(self, account_id: str | None, source: str, failure: LoginFailure) -> None:
        await self._refusals.record(OPERATOR_LOG, _failed(account_id, source, failure))


def _failed(account_id: str | None, source: str, failure: LoginFailure) -> events.LoginFailed:
    return events.LoginFailed(account_id=account_id, source=source, failure=failure)


def _failure(account: Account | None) -> LoginFailure:
    if account is None:
        return LoginFailure.UNKNOWN_ACCOUNT
    return LoginFailure.WRONG_PASSWORD if account.disabled_at is None else LoginFailure.ACCOUNT_DISABLED


def _login_failed() -> ProblemError:
    return ProblemError(ProblemCode.LOGIN_FAILED, "the e-mail address or the password is wrong")


def _digest(token: str) -> str:
    return hashlib.sha256(token[: MAX_TOKEN_CHARACTERS + 1].encode("utf-8", "replace")).hexdigest()


def _actor(account: Account, source: str) -> Actor:
    return Actor(account_id=account.id, name=account.name, email=account.email, role=account.role, source=source)
