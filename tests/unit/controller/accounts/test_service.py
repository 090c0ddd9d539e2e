"""Accounts: signing in and out, and the trail that it leaves."""

import pytest

from controller_parts import SOURCE, Core
from latchstring.controller.accounts.attempts import MAX_FOR_ACCOUNT
from latchstring.controller.errors import NameTakenError, WeakPasswordError
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.protocol import events
from latchstring.protocol.events import LoginFailure, Role
from latchstring.protocol.problems import ProblemCode, ProblemError

PASSWORD = "correct horse battery"


async def last(core: Core) -> object:
    """Return the newest event of the vendor's own log."""
    return (await core.log(OPERATOR_LOG))[-1].event


async def failure(core: Core, email: str, password: str) -> ProblemCode:
    """Fail to sign in."""
    with pytest.raises(ProblemError) as caught:
        await core.accounts.login(email, password, SOURCE)
    return caught.value.code


async def test_sign_in_and_out(core: Core) -> None:
    """A token stands for its account until it is given back, and both are logged."""
    actor = await core.actor(Role.ADMIN)
    issued = await core.accounts.login(" Ada@Example.Test ", PASSWORD, SOURCE)
    assert issued.actor == actor
    assert await last(core) == events.LoginSucceeded(account_id=actor.account_id, source=SOURCE)
    assert await core.accounts.authenticate(issued.token, SOURCE) == actor
    await core.accounts.logout(issued.token, SOURCE)
    assert await last(core) == events.LoggedOut(account_id=actor.account_id, source=SOURCE)
    with pytest.raises(ProblemError) as caught:
        await core.accounts.authenticate(issued.token, SOURCE)
    assert caught.value.code is ProblemCode.NOT_AUTHENTICATED
    before = len(await core.log(OPERATOR_LOG))
    await core.accounts.logout(issued.token, SOURCE)
    assert len(await core.log(OPERATOR_LOG)) == before


async def test_token_ends(core: Core) -> None:
    """Twelve hours after the sign-in a token is worth nothing, and its holder is told to sign in again."""
    await core.actor()
    issued = await core.accounts.login("ada@example.test", PASSWORD, SOURCE)
    core.clock.advance(12 * 3600)
    with pytest.raises(ProblemError) as caught:
        await core.accounts.authenticate(issued.token, SOURCE)
    assert caught.value.code is ProblemCode.LOGIN_EXPIRED


async def test_only_hashes_are_stored(core: Core) -> None:
    """Neither password nor token is in the database, nor in what is printed of a sign-in."""
    await core.actor()
    issued = await core.accounts.login("ada@example.test", PASSWORD, SOURCE)
    stored = b"".join(path.read_bytes() for path in core.path.parent.iterdir())
    assert PASSWORD.encode() not in stored
    assert issued.token.encode() not in stored
    assert issued.token not in repr(issued)
    assert len(issued.token) == 43


async def test_failures_are_told_apart_in_the_log_only(core: Core) -> None:
    """An unknown account and a wrong password get the same answer; the log knows which it was."""
    actor = await core.actor()
    assert await failure(core, "ada@example.test", "wrong") is ProblemCode.LOGIN_FAILED
    assert await last(core) == events.LoginFailed(
        account_id=actor.account_id, source=SOURCE, failure=LoginFailure.WRONG_PASSWORD
    )
    assert await failure(core, "nobody@example.test", "wrong") is ProblemCode.LOGIN_FAILED
    assert await last(core) == events.LoginFailed(account_id=None, source=SOURCE, failure=LoginFailure.UNKNOWN_ACCOUNT)


async def test_attempts_are_limited(core: Core) -> None:
    """After too many failures even the right password is not heard; the log says so once, and time heals."""
    await core.actor()
    for _ in range(MAX_FOR_ACCOUNT):
        assert await failure(core, "ada@example.test", "wrong") is ProblemCode.LOGIN_FAILED
    for _ in range(3):
        assert await failure(core, "ada@example.test", PASSWORD) is ProblemCode.TOO_MANY_ATTEMPTS
    entries = [entry.event for entry in await core.log(OPERATOR_LOG)]
    limited = [event for event in entries if getattr(event, "failure", None) is LoginFailure.TOO_MANY_ATTEMPTS]
    assert len(limited) == 1
    core.clock.advance(15 * 60)
    await core.accounts.login("ada@example.test", PASSWORD, SOURCE)


async def test_stranger_locks_nobody_out(core: Core) -> None:
    """An engineer signs in where they did before, whatever a stranger tried meanwhile."""
    await core.actor()
    await core.accounts.login("ada@example.test", PASSWORD, SOURCE)
    for _ in range(MAX_FOR_ACCOUNT):
        with pytest.raises(ProblemError):
            await core.accounts.login("ada@example.test", "wrong", "198.51.100.77")
    await core.accounts.login("ada@example.test", PASSWORD, SOURCE)
    with pytest.raises(ProblemError) as caught:
        await core.accounts.login("ada@example.test", PASSWORD, "198.51.100.78")
    assert caught.value.code is ProblemCode.TOO_MANY_ATTEMPTS


async def test_accounts_are_made_once(core: Core) -> None:
    """An address has one account however it is written; what is malformed or weak makes none."""
    await core.actor()
    with pytest.raises(NameTakenError, match="there is an account"):
        await core.accounts.create("ADA@example.test", "Ada", Role.ADMIN, PASSWORD)
    with pytest.raises(WeakPasswordError):
        await core.accounts.create("b@example.test", "Bob", Role.ADMIN, "short")
    for email, name in (("no address", "Bob"), ("b@example.test", "")):
        with pytest.raises(ValueError, match="validation error"):
            await core.accounts.create(email, name, Role.ADMIN, PASSWORD)
    assert [account.email for account in await core.accounts.list()] == ["ada@example.test"]
    assert (await core.types(OPERATOR_LOG)).count("account.created") == 1


async def test_denials_are_logged(core: Core) -> None:
    """What a role does not allow leaves a trace with the operation's name."""
    actor = await core.actor()
    await core.accounts.deny(actor, "list_logs")
    assert await last(core) == events.PermissionDenied(
        account_id=actor.account_id, source=SOURCE, operation="list_logs"
    )


@pytest.mark.parametrize("token", ["", "x", "x" * 100_000, "\ud800", "é" * 50])
async def test_garbage_is_no_token(core: Core, token: str) -> None:
    """Whatever stands in the token's place, it is nobody's."""
    with pytest.raises(ProblemError) as caught:
        await core.accounts.authenticate(token, SOURCE)
    assert caught.value.code is ProblemCode.NOT_AUTHENTICATED
