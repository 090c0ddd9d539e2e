"""What an administrator changes about accounts, and what that takes away."""

import asyncio

import pytest

from controller_parts import SOURCE, Core, session_request
from latchstring.controller.accounts.actor import Actor
from latchstring.controller.errors import LastAdminError, UnknownNameError, WeakPasswordError
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.protocol import events
from latchstring.protocol.endings import Reason
from latchstring.protocol.events import LoginFailure, Role
from latchstring.protocol.problems import ProblemCode, ProblemError
from latchstring.protocol.session_state import SessionState

ADA = "ada@example.test"
PASSWORD, OTHER = "correct horse battery", "another horse battery"


async def token(core: Core) -> str:
    """Sign in."""
    return (await core.accounts.login(ADA, PASSWORD, SOURCE)).token


async def refusal(core: Core, password: str = PASSWORD) -> ProblemError:
    """Fail to sign in."""
    with pytest.raises(ProblemError) as caught:
        await core.accounts.login(ADA, password, SOURCE)
    return caught.value


async def is_void(core: Core, held: str) -> bool:
    """Return whether a token is nobody's."""
    try:
        await core.accounts.authenticate(held, SOURCE)
    except ProblemError as problem:
        return problem.code is ProblemCode.NOT_AUTHENTICATED
    return False


async def last(core: Core) -> object:
    """Return the newest event of the vendor's own log."""
    return (await core.log(OPERATOR_LOG))[-1].event


async def test_a_disabled_account_is_locked_out(core: Core) -> None:
    """Tokens are void at once and the right password gets a wrong one's answer; the log knows which it was."""
    actor = await core.actor()
    held = await token(core)
    wrong = await refusal(core, "wrong")
    await core.account_changes.disable(" ADA@example.test ")
    assert await last(core) == events.AccountDisabled(account_id=actor.account_id)
    assert await is_void(core, held)
    right = await refusal(core)
    assert (right.code, right.detail) == (wrong.code, wrong.detail) == (ProblemCode.LOGIN_FAILED, wrong.detail)
    assert await last(core) == events.LoginFailed(
        account_id=actor.account_id, source=SOURCE, failure=LoginFailure.ACCOUNT_DISABLED
    )


async def test_a_disabled_account_costs_what_others_cost(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password is verified for a disabled account too, so that the time of the answer does not tell."""
    await core.actor()
    await core.account_changes.disable(ADA)
    verified = list[str]()
    verify = core.accounts._passwords.verify

    async def watched(password_hash: str | None, password: str) -> bool:
        verified.append(password)
        return await verify(password_hash, password)

    monkeypatch.setattr(core.accounts._passwords, "verify", watched)
    await refusal(core)
    assert verified == [PASSWORD]


async def test_an_enabled_account_begins_anew(core: Core) -> None:
    """It signs in with its password; the tokens of before stay void."""
    actor = await core.actor()
    held = await token(core)
    await core.account_changes.disable(ADA)
    await core.account_changes.enable(ADA)
    assert await last(core) == events.AccountEnabled(account_id=actor.account_id)
    assert await is_void(core, held)
    assert not await is_void(core, await token(core))


async def test_what_is_so_already_leaves_no_entry(core: Core) -> None:
    """Disabling, enabling and changing a role a second time changes and logs nothing."""
    await core.actor()
    before = await core.types(OPERATOR_LOG)
    await core.account_changes.enable(ADA)
    await core.account_changes.set_role(ADA, Role.ENGINEER)
    assert await core.types(OPERATOR_LOG) == before
    for _ in range(2):
        await core.account_changes.disable(ADA)
    assert await core.types(OPERATOR_LOG) == [*before, "account.disabled"]


async def test_a_sign_in_that_is_overtaken(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sign-in whose password was verified before the account was disabled, or got another, gets no token."""
    await core.actor()
    verify = core.accounts._passwords.verify
    for change in (core.account_changes.disable(ADA), core.account_changes.set_password(ADA, OTHER)):
        await core.account_changes.enable(ADA)

        async def overtaken(password_hash: str | None, password: str, change: object = change) -> bool:
            holds = await verify(password_hash, password)
            await change  # type: ignore[misc]  # one of the two above
            return holds

        monkeypatch.setattr(core.accounts._passwords, "verify", overtaken)
        assert (await refusal(core)).code is ProblemCode.LOGIN_FAILED
        monkeypatch.undo()
    assert "login.succeeded" not in await core.types(OPERATOR_LOG)


async def test_another_password(core: Core) -> None:
    """Only the new password signs in, and what was signed in is not any more; a weak one changes nothing."""
    actor = await core.actor()
    held = await token(core)
    with pytest.raises(WeakPasswordError):
        await core.account_changes.set_password(ADA, "short")
    assert not await is_void(core, held)
    await core.account_changes.set_password(ADA, OTHER)
    assert await last(core) == events.AccountPasswordChanged(account_id=actor.account_id)
    assert await is_void(core, held)
    assert (await refusal(core)).code is ProblemCode.LOGIN_FAILED
    await core.accounts.login(ADA, OTHER, SOURCE)


async def test_another_role_holds_at_once(core: Core) -> None:
    """A token that was given out before has the new role."""
    actor = await core.actor()
    held = await token(core)
    await core.account_changes.set_role(ADA, Role.AUDITOR)
    assert await last(core) == events.AccountRoleChanged(account_id=actor.account_id, role=Role.AUDITOR)
    assert (await core.accounts.authenticate(held, SOURCE)).role is Role.AUDITOR


async def test_the_last_admin_takes_a_word(core: Core) -> None:
    """Nothing takes away the last administrator unless the caller says so; one who is disabled is none."""
    await core.actor(Role.ADMIN)
    await core.actor(Role.ADMIN, "bob@example.test")
    await core.account_changes.disable("bob@example.test")
    for attempt in (core.account_changes.disable(ADA), core.account_changes.set_role(ADA, Role.ENGINEER)):
        with pytest.raises(LastAdminError, match="--even-the-last-admin"):
            await attempt
    assert not await is_void(core, await token(core))
    await core.account_changes.set_role("bob@example.test", Role.ENGINEER)
    await core.account_changes.disable(ADA, even_the_last_admin=True)
    assert (await refusal(core)).code is ProblemCode.LOGIN_FAILED


async def test_unknown_accounts_are_named(core: Core) -> None:
    """Each change says which account there is not."""
    changes = core.account_changes
    for attempt in (
        changes.disable(ADA),
        changes.enable(ADA),
        changes.set_password(ADA, PASSWORD),
        changes.set_role(ADA, Role.ADMIN),
    ):
        with pytest.raises(UnknownNameError, match=ADA):
            await attempt


async def disable(core: Core) -> None:
    """Take everything from the account."""
    await core.account_changes.disable(ADA)


async def demote(core: Core) -> None:
    """Give the account a role that may hold no sessions."""
    await core.account_changes.set_role(ADA, Role.AUDITOR)


async def open_both(core: Core) -> tuple[Actor, str, str, str]:
    """Open a live session and a request that waits; return whose, their ids, and the customer's."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    live = await core.grant(actor, machine)
    waiting = (await core.sessions.request(actor, session_request())).id
    return actor, live, waiting, machine.customer_id


@pytest.mark.parametrize("bar", [disable, demote])
async def test_what_is_open_ends(core: Core, bar: object) -> None:
    """With the next sweep the live session is cut and its endpoint told to end it, and the request is withdrawn."""
    actor, live, waiting, customer_id = await open_both(core)
    bob = await core.actor(email="bob@example.test")
    kept = (await core.sessions.request(bob, session_request())).id
    await bar(core)  # type: ignore[operator]  # one of the two above
    assert (await core.types(customer_id))[-1] == "session.account_barred"
    await core.sweeper.step()
    assert {live, waiting} <= set(core.relay.cuts)
    told = core.channels.of_type("end_session") + core.channels.of_type("withdraw")
    assert [(message.session_id, message.reason) for message in told] == [
        (live, Reason.ENDED_BY_ADMINISTRATOR),
        (waiting, Reason.ENDED_BY_ADMINISTRATOR),
    ]
    view = await core.sessions.view(actor, waiting)
    assert (view.state, view.reason) == (SessionState.ENDED_BY_VENDOR, Reason.ENDED_BY_ADMINISTRATOR)
    assert (await core.log(customer_id))[-1].event == events.SessionLost(
        session_id=waiting, reason=Reason.ENDED_BY_ADMINISTRATOR
    )
    assert (await core.sessions.view(bob, kept)).state is SessionState.REQUESTED


async def test_who_is_enabled_at_once_gets_nothing_back(core: Core) -> None:
    """What disabling ended ends, also if the account is enabled before the sweep that does it."""
    actor, live, waiting, _ = await open_both(core)
    await core.account_changes.disable(ADA)
    await core.account_changes.enable(ADA)
    await core.sweeper.step()
    assert [message.session_id for message in core.channels.of_type("end_session")] == [live]
    assert (await core.sessions.view(actor, waiting)).state is SessionState.ENDED_BY_VENDOR


async def test_a_request_of_just_now_is_swept_up(core: Core) -> None:
    """What was requested, by whoever had passed the door before it closed, ends too, granted meanwhile or not."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    await core.account_changes.disable(ADA)
    live = await core.grant(actor, machine)
    waiting = (await core.sessions.request(actor, session_request())).id
    await core.sweeper.step()
    assert [message.session_id for message in core.channels.of_type("end_session")] == [live]
    assert [message.session_id for message in core.channels.of_type("withdraw")] == [waiting]
    assert "session.account_barred" in await core.types(machine.customer_id)


async def test_a_request_that_is_granted_meanwhile(core: Core) -> None:
    """A yes that comes after the account was disabled opens nothing that lasts."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = (await core.sessions.request(actor, session_request())).id
    await core.account_changes.disable(ADA)
    await core.report(machine, core.granted())
    await core.sweeper.step()
    assert session_id in core.relay.cuts
    assert [message.session_id for message in core.channels.of_type("end_session")] == [session_id]


async def test_who_waits_is_woken(core: Core) -> None:
    """A client that waits for the customer's answer hears at once that there will be none."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = (await core.sessions.request(actor, session_request())).id
    waiting = asyncio.create_task(core.sessions.wait_while_waiting(actor, session_id, 60))
    await asyncio.sleep(0)
    await core.account_changes.disable(ADA)
    await core.sweeper.step()
    assert (await asyncio.wait_for(waiting, 10)).state is SessionState.ENDED_BY_VENDOR
