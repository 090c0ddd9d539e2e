"""An endpoint comes back: what both sides believe of its sessions is brought together."""

from controller_parts import Core, session_request
from latchstring.protocol import events
from latchstring.protocol.endings import Reason
from latchstring.protocol.session_state import SessionState

UNKNOWN = "ses-aaaaaaaaaaaaaaaa"


def ended(session_id: str) -> events.SessionEnded:
    """Return the proof of a kill because the controller was away."""
    return events.SessionEnded(
        session_id=session_id,
        state=SessionState.LOST,
        reason=Reason.CONTROLLER_UNREACHABLE,
        processes_left=0,
        kill_milliseconds=2,
    )


async def test_session_that_both_sides_have_goes_on(core: Core) -> None:
    """A short break of the connection leaves a live session alone."""
    actor, machine = await core.actor(), await core.machine()
    answer = await core.connect(machine)
    session_id = await core.grant(actor, machine)
    await core.disconnect(machine, answer)
    await core.connect(machine, session_id)
    assert (await core.sessions.view(actor, session_id)).state is SessionState.GRANTED
    assert core.channels.of_type("end_session") == []


async def test_session_that_the_endpoint_lost_is_lost(core: Core) -> None:
    """A session that its endpoint no longer has, with nothing left to report, is given up and cut."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = await core.grant(actor, machine)
    await core.connect(machine)
    assert (await core.sessions.view(actor, session_id)).state is SessionState.LOST
    assert session_id in core.relay.cuts
    assert (await core.types(machine.customer_id))[-1] == "session.lost"


async def test_outstanding_reports_speak_first(core: Core) -> None:
    """What the endpoint has yet to report decides over a session, before its absence from the hello does."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = await core.grant(actor, machine)
    waiting = machine.say(ended(session_id))
    await core.connect(machine)
    assert (await core.sessions.view(actor, session_id)).state is SessionState.GRANTED
    await core.reports.accept(machine.endpoint_id, [waiting])
    view = await core.sessions.view(actor, session_id)
    assert (view.state, view.reason) == (SessionState.LOST, Reason.CONTROLLER_UNREACHABLE)
    assert "session.lost" not in await core.types(machine.customer_id)


async def test_grant_after_the_hello_is_not_mistaken_for_a_lost_session(core: Core) -> None:
    """A session that was granted after the hello, reported in one batch with what was outstanding, stays live."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    old = machine.say(events.AgentStopped())
    await core.connect(machine)
    session_id = (await core.sessions.request(actor, session_request())).id
    await core.reports.accept(machine.endpoint_id, [old, machine.say(core.granted())])
    assert (await core.sessions.view(actor, session_id)).state is SessionState.GRANTED


async def test_session_that_the_controller_does_not_know_is_ended(core: Core) -> None:
    """An endpoint that claims a session which never was, or is over here, is told at once to end it."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = await core.grant(actor, machine)
    await core.report(machine, ended(session_id))
    machine.say(events.AgentStopped())
    answer = await core.connect(machine, session_id, UNKNOWN)
    told = {(message.session_id, message.reason) for message in core.channels.of_type("end_session")}
    assert told == {(session_id, Reason.CONTROLLER_FORGOT), (UNKNOWN, Reason.CONTROLLER_FORGOT)}
    assert len(answer.messages) == 2


async def test_close_that_the_endpoint_missed_is_repeated(core: Core) -> None:
    """A session that was closed while its endpoint was away is ended when it comes back."""
    actor, machine = await core.actor(), await core.machine()
    answer = await core.connect(machine)
    session_id = await core.grant(actor, machine)
    await core.disconnect(machine, answer)
    await core.sessions.close(actor, session_id)
    assert core.channels.of_type("end_session") == []
    await core.connect(machine, session_id)
    assert [message.reason for message in core.channels.of_type("end_session")] == [Reason.CLOSED_BY_ENGINEER]


async def test_waiting_request_is_offered_again(core: Core) -> None:
    """A request whose offer may have been lost is offered when the endpoint comes back."""
    actor, machine = await core.actor(), await core.machine()
    answer = await core.connect(machine)
    session_id = (await core.sessions.request(actor, session_request())).id
    await core.disconnect(machine, answer)
    await core.connect(machine)
    assert [message.offer.session_id for message in core.channels.of_type("offer")] == [session_id, session_id]
