"""Accounts: signing in and out, and the trail that it leaves."""

import pytest

from controller_parts import SOURCE, Core
from latchstring.controller.accounts.attempts import MAX_FOR_ACCOUNT
from latchstring.controller.accounts.service import SECONDS_PER_SIGN_IN, SIGN_IN_BURST
from latchstring.controller.errors import NameTakenError, WeakPasswordError
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.controller.log.refusals import ENTRY_BURST, ENTRY_BURST_OF_ALL
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


async def test_attempts_that_are_not_heard_are_counted(core: Core) -> None:
    """Every attempt beyond the limits is accounted for: one entry when it begins, then a count."""
    actor = await core.actor()
    for _ in range(MAX_FOR_ACCOUNT + 1):
        await failure(core, "ada@example.test", "wrong")
    before = len(await core.log(OPERATOR_LOG))
    for _ in range(500):
        assert await failure(core, "ada@example.test", "wrong") is ProblemCode.TOO_MANY_ATTEMPTS
    assert len(await core.log(OPERATOR_LOG)) == before
    await core.dependencies.refusals.close()
    assert await last(core) == events.RefusalsCounted(refused="login.failed", account_id=actor.account_id, count=500)


async def test_many_sources_do_not_fill_the_log(core: Core) -> None:
    """Failed sign-ins from however many addresses leave bounded entries, and each gets the same answer as ever."""
    for number in range(int(ENTRY_BURST_OF_ALL) + 50):
        with pytest.raises(ProblemError) as caught:
            await core.accounts.login(f"{number}@example.test", "wrong", f"198.51.{number // 250}.{number % 250}")
        assert caught.value.code is ProblemCode.LOGIN_FAILED
    assert (await core.types(OPERATOR_LOG)).count("login.failed") == int(ENTRY_BURST_OF_ALL)
    await core.dependencies.refusals.close()
    assert await last(core) == events.RefusalsCounted(refused="login.failed", account_id=None, count=50)


async def test_denials_do_not_fill_the_log(core: Core) -> None:
    """An account that asks again and again for what it may not leaves bounded entries."""
    actor = await core.actor()
    for _ in range(100):
        await core.accounts.deny(actor, "list_logs")
    assert (await core.types(OPERATOR_LOG)).count("permission.denied") == int(ENTRY_BURST)


async def test_signing_in_without_pause(core: Core) -> None:
    """An account that does nothing but sign in has to wait, and leaves bounded entries and tokens; others do not."""
    await core.actor()
    await core.actor(email="bob@example.test")
    for _ in range(int(SIGN_IN_BURST)):
        await core.accounts.login("ada@example.test", PASSWORD, SOURCE)
    assert await failure(core, "ada@example.test", PASSWORD) is ProblemCode.TOO_MANY_ATTEMPTS
    await core.accounts.login("bob@example.test", PASSWORD, SOURCE)
    core.clock.advance(SECONDS_PER_SIGN_IN)
    await core.accounts.login("ada@example.test", PASSWORD, SOURCE)
