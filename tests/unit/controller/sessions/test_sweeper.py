"""What time alone does: lost endpoints, lapsed requests, overdue sessions, revocations, old tokens."""

import pytest

from controller_parts import Core, session_request
from latchstring.protocol import events
from latchstring.protocol.endings import Reason
from latchstring.protocol.messages import GoodbyeCode
from latchstring.protocol.problems import ProblemCode, ProblemError
from latchstring.protocol.session_state import SessionState


async def test_sessions_of_a_lost_endpoint_are_lost(core: Core) -> None:
    """After the grace, and not before, everything open at an endpoint that is gone is lost, cut and logged once."""
    actor, machine = await core.actor(), await core.machine()
    answer = await core.connect(machine)
    live = await core.grant(actor, machine)
    waiting = (await core.sessions.request(actor, session_request())).id
    core.clock.advance(100)
    await core.sweeper.step()
    await core.disconnect(machine, answer)
    core.clock.advance(24)
    await core.sweeper.step()
    assert (await core.sessions.view(actor, live)).state is SessionState.GRANTED
    core.clock.advance(2)
    await core.sweeper.step()
    await core.sweeper.step()
    for session_id in (live, waiting):
        view = await core.sessions.view(actor, session_id)
        assert (view.state, view.reason) == (SessionState.LOST, Reason.ENDPOINT_UNREACHABLE)
        assert session_id in core.relay.cuts
    assert (await core.types(machine.customer_id)).count("session.lost") == 2


async def test_after_a_restart_every_endpoint_has_its_grace(core: Core) -> None:
    """An endpoint that has not connected since the start counts as gone from the start, not from its last sign."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = await core.grant(actor, machine)
    core.presence.__init__(core.clock)  # type: ignore[misc]  # as a restart does
    await core.sweeper.step()
    assert (await core.sessions.view(actor, session_id)).state is SessionState.GRANTED
    core.clock.advance(25)
    await core.sweeper.step()
    assert (await core.sessions.view(actor, session_id)).state is SessionState.LOST


async def test_unanswered_request_lapses(core: Core) -> None:
    """A request without a decision expires after ten minutes, and its endpoint is told."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = (await core.sessions.request(actor, session_request())).id
    await core.report(machine, events.SessionAsked(session_id=session_id))
    core.clock.advance(599)
    await core.sweeper.step()
    assert (await core.sessions.view(actor, session_id)).state is SessionState.AWAITING_CONSENT
    core.clock.advance(1)
    await core.sweeper.step()
    view = await core.sessions.view(actor, session_id)
    assert (view.state, view.reason) == (SessionState.EXPIRED, Reason.UNANSWERED)
    assert [message.reason for message in core.channels.of_type("withdraw")] == [Reason.UNANSWERED]
    assert (await core.types(machine.customer_id))[-1] == "session.lapsed"


async def test_overdue_session_is_given_up(core: Core) -> None:
    """A session whose end is not reported long after its time is lost, and its endpoint told to end it."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = await core.grant(actor, machine)
    core.clock.advance(3600 + 59)
    await core.sweeper.step()
    assert (await core.sessions.view(actor, session_id)).state is SessionState.GRANTED
    core.clock.advance(1)
    await core.sweeper.step()
    view = await core.sessions.view(actor, session_id)
    assert (view.state, view.reason) == (SessionState.LOST, Reason.DEADLINE)
    assert [message.reason for message in core.channels.of_type("end_session")] == [Reason.CONTROLLER_FORGOT]


async def test_close_is_repeated_until_the_end_is_reported(core: Core) -> None:
    """An endpoint that did not hear of a close hears of it again."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = await core.grant(actor, machine)
    await core.sessions.close(actor, session_id)
    await core.sweeper.step()
    assert [message.reason for message in core.channels.of_type("end_session")] == [Reason.CLOSED_BY_ENGINEER] * 2


async def test_revoked_endpoint_is_cut_off(core: Core) -> None:
    """A revocation, which another process may have made, ends sessions and channel with the next sweep."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = await core.grant(actor, machine)
    await core.enrolment.revoke(machine.name)
    await core.sweeper.step()
    await core.sweeper.step()
    view = await core.sessions.view(actor, session_id)
    assert (view.state, view.reason) == (SessionState.ENDED_BY_VENDOR, Reason.ENDPOINT_REVOKED)
    assert [message.reason for message in core.channels.of_type("end_session")] == [Reason.ENDPOINT_REVOKED]
    assert [goodbye.code for _, goodbye in core.channels.closed] == [GoodbyeCode.REVOKED]
    assert (await core.types(machine.customer_id))[-2:] == ["endpoint.revoked", "session.lost"]


async def test_old_tokens_are_forgotten(core: Core) -> None:
    """An expired token is told from an unknown one for a week, and then no more."""
    await core.actor()
    issued = await core.accounts.login("ada@example.test", "correct horse battery", "192.0.2.7")
    for days, code in ((1, ProblemCode.LOGIN_EXPIRED), (8, ProblemCode.NOT_AUTHENTICATED)):
        core.clock.advance(days * 86_400)
        await core.sweeper.step()
        with pytest.raises(ProblemError) as caught:
            await core.accounts.authenticate(issued.token, "192.0.2.7")
        assert caught.value.code is code
