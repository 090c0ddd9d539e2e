"""Endpoints' reports: taken once, in order, signed, and never more than the table allows."""

import logging

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller_parts import SOURCE, Core, Machine, session_request
from latchstring.controller.accounts.actor import Actor
from latchstring.controller.errors import HelloRefusedError, ReportGapError, ReportRefusedError
from latchstring.protocol import events
from latchstring.protocol.access import AccessMode
from latchstring.protocol.endings import Reason
from latchstring.protocol.messages import GoodbyeCode
from latchstring.protocol.session_state import SessionState


def ended(session_id: str, reason: Reason = Reason.ENDED_BY_CUSTOMER) -> events.SessionEnded:
    """Return the proof of a kill."""
    return events.SessionEnded(
        session_id=session_id,
        state=SessionState.ENDED_BY_CUSTOMER,
        reason=reason,
        processes_left=0,
        kill_milliseconds=2,
    )


async def state_of(core: Core, actor: Actor, session_id: str) -> SessionState:
    """Return a session's state."""
    return (await core.sessions.view(actor, session_id)).state


async def live(core: Core) -> tuple[Actor, Machine, str]:
    """Return an engineer, a machine that is connected, and a session that is live."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    return actor, machine, await core.grant(actor, machine)


async def test_a_session_follows_its_reports(core: Core) -> None:
    """Asked, granted, connected twice, idle, connected, ended: state and log follow step by step."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = (await core.sessions.request(actor, session_request())).id
    steps = [
        (events.SessionAsked(session_id=session_id), SessionState.AWAITING_CONSENT),
        (core.granted(), SessionState.GRANTED),
        (events.SessionConnected(session_id=session_id, connections=1), SessionState.CONNECTED),
        (events.SessionConnected(session_id=session_id, connections=2), SessionState.CONNECTED),
        (events.SessionDisconnected(session_id=session_id, connections=1), SessionState.CONNECTED),
        (events.SessionDisconnected(session_id=session_id, connections=0), SessionState.IDLE),
        (events.SessionConnected(session_id=session_id, connections=1), SessionState.CONNECTED),
        (ended(session_id), SessionState.ENDED_BY_CUSTOMER),
    ]
    for number, (event, state) in enumerate(steps, 1):
        assert await core.report(machine, event) == number
        assert await state_of(core, actor, session_id) is state
    assert [entry.event for entry in (await core.log(machine.customer_id))[-len(steps) :]] == [s[0] for s in steps]


async def test_many_reports_in_one_batch(core: Core) -> None:
    """A whole session in one batch ends as it does step by step, and every report has its entry."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = (await core.sessions.request(actor, session_request())).id
    busy = [events.SessionConnectionRefused(session_id=session_id, code="no_certificate")] * 150
    asked = events.SessionAsked(session_id=session_id)
    assert await core.report(machine, asked, core.granted(), *busy, ended(session_id)) == 153
    assert await state_of(core, actor, session_id) is SessionState.ENDED_BY_CUSTOMER
    assert (await core.types(machine.customer_id)).count("session.connection_refused") == 150


async def test_refusal_carries_its_reason(core: Core) -> None:
    """The customer's no ends the request, and the engineer is told why."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = (await core.sessions.request(actor, session_request())).id
    refused = events.SessionRefused(session_id=session_id, reason=Reason.ACCESS_OFF, decided_by=events.DecidedBy.POLICY)
    await core.report(machine, refused)
    view = await core.sessions.view(actor, session_id)
    assert (view.state, view.explanation) == (SessionState.REFUSED, "the customer has turned access off")


async def test_replayed_report_is_logged_once(core: Core) -> None:
    """A report that comes again, alone or before new ones, changes nothing and is not logged again."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = (await core.sessions.request(actor, session_request())).id
    asked = machine.say(events.SessionAsked(session_id=session_id))
    granted = machine.say(core.granted())
    assert await core.reports.accept(machine.endpoint_id, [asked]) == 1
    assert await core.reports.accept(machine.endpoint_id, [asked]) == 1
    assert await core.reports.accept(machine.endpoint_id, [asked, granted]) == 2
    assert (await core.types(machine.customer_id)).count("session.asked") == 1
    assert await state_of(core, actor, session_id) is SessionState.GRANTED


async def test_gap_is_refused_after_what_precedes_it(core: Core) -> None:
    """A missing report stops the batch there: what came before is taken, nothing after."""
    _, machine, session_id = await live(core)
    event = events.SessionConnected(session_id=session_id, connections=1)
    first = machine.say(event)
    machine.sequence += 1
    with pytest.raises(ReportGapError, match="report 2 is missing"):
        await core.reports.accept(machine.endpoint_id, [first, machine.say(event)])
    assert (await core.types(machine.customer_id)).count("session.connected") == 1


async def test_tampered_statement_is_refused(core: Core) -> None:
    """A consent under another key, or altered on the way, is refused, and grants nothing."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = (await core.sessions.request(actor, session_request())).id
    forger = Machine(machine.endpoint_id, machine.name, machine.customer_id, Ed25519PrivateKey.generate())
    genuine = machine.say(core.granted())
    other = machine.say(events.SessionAsked(session_id=session_id), sequence=0)
    altered = genuine.model_copy(update={"statement": other.statement})
    before = await core.types(machine.customer_id)
    for bad in (forger.say(core.granted()), altered):
        with pytest.raises(ReportRefusedError, match="not signed"):
            await core.reports.accept(machine.endpoint_id, [bad])
    assert await state_of(core, actor, session_id) is SessionState.REQUESTED
    assert await core.types(machine.customer_id) == before


async def test_grant_of_something_else_is_not_taken(core: Core, caplog: pytest.LogCaptureFixture) -> None:
    """A digest that is not of this offer's grant, or a wider grant, is logged but grants nothing, and is ended."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = (await core.sessions.request(actor, session_request())).id
    await core.report(machine, core.granted(grant_digest="0" * 64))
    await core.report(machine, core.granted(capabilities=("exec", "shell", "sftp_read")))
    assert await state_of(core, actor, session_id) is SessionState.REQUESTED
    assert [message.reason for message in core.channels.of_type("end_session")] == [Reason.CONTROLLER_FORGOT] * 2
    assert (await core.types(machine.customer_id)).count("session.granted") == 2
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_late_grant_is_ended(core: Core) -> None:
    """A yes that crosses a withdrawal opens nothing: it is logged, and the endpoint is told to end it."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = (await core.sessions.request(actor, session_request())).id
    await core.sessions.close(actor, session_id)
    await core.report(machine, core.granted())
    assert await state_of(core, actor, session_id) is SessionState.WITHDRAWN
    assert [message.session_id for message in core.channels.of_type("end_session")] == [session_id]


async def test_late_report_is_logged_and_changes_nothing(core: Core) -> None:
    """What an endpoint reports of a session that is over here is kept in the log; the state stays."""
    actor, machine, session_id = await live(core)
    await core.report(machine, ended(session_id))
    await core.report(machine, ended(session_id, Reason.DEADLINE), core.granted())
    view = await core.sessions.view(actor, session_id)
    assert (view.state, view.reason) == (SessionState.ENDED_BY_CUSTOMER, Reason.ENDED_BY_CUSTOMER)
    assert (await core.types(machine.customer_id)).count("session.ended") == 2


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (Reason.CLOSED_BY_ENGINEER, SessionState.CLOSED),
        (Reason.IDLE, SessionState.EXPIRED),
        (Reason.SANDBOX_DIED, SessionState.LOST),
        (Reason.CUSTOMER_REFUSED, SessionState.LOST),
    ],
)
async def test_ending_follows_its_reason(core: Core, reason: Reason, state: SessionState) -> None:
    """The state comes from the reason by the table, not from what the endpoint claims; nonsense counts as lost."""
    actor, machine, session_id = await live(core)
    await core.report(machine, ended(session_id, reason))
    assert await state_of(core, actor, session_id) is state
    assert session_id in core.relay.cuts


async def test_end_of_a_session_that_was_never_granted_here(core: Core) -> None:
    """The end of a session whose grant was not taken leaves no waiting request behind."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = (await core.sessions.request(actor, session_request())).id
    await core.report(machine, ended(session_id, Reason.CLOSED_BY_ENGINEER))
    assert await state_of(core, actor, session_id) is SessionState.LOST


async def test_another_endpoints_session_is_out_of_reach(core: Core) -> None:
    """An endpoint that speaks of another's session is logged as speaking, in its own customer's log, without effect."""
    actor, machine, session_id = await live(core)
    other = await core.machine("other-pbx1", "Other Ltd")
    await core.connect(other)
    await core.report(other, ended(session_id))
    assert await state_of(core, actor, session_id) is SessionState.GRANTED
    assert session_id not in core.relay.cuts
    assert (await core.types(other.customer_id))[-1] == "session.ended"
    assert "session.ended" not in await core.types(machine.customer_id)


async def test_switch_is_followed(core: Core) -> None:
    """The endpoint's reports of its switch show in its row."""
    _, machine, _ = await live(core)
    await core.report(machine, events.AccessChanged(mode=AccessMode.OFF, by="customer_cli"))
    async with core.store.read() as tx:
        endpoint = await tx.endpoints.by_id(machine.endpoint_id)
    assert endpoint is not None
    assert (endpoint.access, endpoint.next_sequence) == (AccessMode.OFF, 2)


async def test_hello_reports_skew_and_what_is_wanted(core: Core) -> None:
    """A clock that is a day off connects all the same; the skew is kept and logged by name."""
    machine = await core.machine()
    core.clock.advance(-86_400)
    answer = await core.connect(machine)
    assert (answer.welcome.version, answer.welcome.acknowledged) == (1, 0)
    entry = (await core.log(machine.customer_id))[-1]
    assert isinstance(entry.event, events.EndpointConnected)
    assert (entry.event.clock_skew_seconds, entry.event.source) == (86_400, SOURCE)


async def test_hello_of_who_may_not_connect(core: Core) -> None:
    """A revoked endpoint, one of the future, and one whose journal was cut back each get their own goodbye."""
    machine = await core.machine()
    await core.connect(machine)
    await core.report(machine, events.AgentStopped())
    future = machine.hello().model_copy(update={"versions": (99,)})
    cases = [
        (future, GoodbyeCode.VERSION),
        (machine.hello(journal_size=0), GoodbyeCode.JOURNAL_BEHIND),
    ]
    await core.enrolment.invite("acme-pbx9", "Acme Dental", address="a:1")
    for hello, code in cases:
        with pytest.raises(HelloRefusedError) as caught:
            await core.reports.hello(machine.endpoint_id, hello, SOURCE)
        assert caught.value.goodbye.code is code
    await core.enrolment.revoke(machine.name)
    with pytest.raises(HelloRefusedError) as caught:
        await core.reports.hello(machine.endpoint_id, machine.hello(), SOURCE)
    assert caught.value.goodbye.code is GoodbyeCode.REVOKED


async def test_only_the_last_connection_counts_as_gone(core: Core) -> None:
    """The end of a connection that was replaced is not the endpoint's end."""
    machine = await core.machine()
    first, second = await core.connect(machine), await core.connect(machine)
    await core.reports.disconnected(machine.endpoint_id, first.connection)
    assert (await core.types(machine.customer_id))[-1] == "endpoint.connected"
    await core.reports.disconnected(machine.endpoint_id, second.connection)
    assert (await core.types(machine.customer_id))[-1] == "endpoint.disconnected"
