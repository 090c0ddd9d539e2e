"""Sessions as engineers and auditors touch them."""

import asyncio
from pathlib import Path

import pytest

from controller_parts import Core, open_core, session_request
from latchstring.controller.accounts.actor import Actor
from latchstring.controller.log.refusals import ENTRY_BURST
from latchstring.protocol import events
from latchstring.protocol.endings import Reason
from latchstring.protocol.events import RequestRefusal, Role, SessionRequestRefused
from latchstring.protocol.offer_rate import CONTROLLER_SECONDS_PER_OFFER
from latchstring.protocol.problems import ProblemCode, ProblemError
from latchstring.protocol.purposes import Purpose
from latchstring.protocol.session_state import SessionState


async def test_request_is_logged_and_then_offered(core: Core) -> None:
    """A request is in the customer's log and reaches the endpoint as an offer that names the engineer."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    view = await core.sessions.request(
        actor, session_request(purpose=Purpose.SUPPORT_REQUEST, ticket="SUP-1042", note="slow since the update")
    )
    assert view.state is SessionState.REQUESTED
    (offer,) = core.channels.of_type("offer")
    assert offer.offer.session_id == view.id
    assert offer.offer.engineer == actor.engineer()
    entry = (await core.log(machine.customer_id))[-1]
    assert isinstance(entry.event, events.SessionRequested)
    assert (entry.event.ticket, entry.event.source) == ("SUP-1042", actor.source)


async def test_request_to_an_offline_endpoint_is_refused_and_logged(core: Core) -> None:
    """Nothing is asked of an endpoint that is away, and the log says that somebody tried."""
    actor, machine = await core.actor(), await core.machine()
    with pytest.raises(ProblemError) as caught:
        await core.sessions.request(actor, session_request())
    assert caught.value.code is ProblemCode.ENDPOINT_OFFLINE
    entry = (await core.log(machine.customer_id))[-1]
    assert isinstance(entry.event, events.SessionRequestRefused)
    assert entry.event.refusal is events.RequestRefusal.ENDPOINT_OFFLINE
    assert (await core.sessions.list(actor, 10, everybody=False)).sessions == ()


async def test_auditor_cannot_open_and_that_is_logged(core: Core) -> None:
    """The service itself refuses a role that may not open sessions, whatever stands before it."""
    actor, machine = await core.actor(Role.AUDITOR), await core.machine()
    await core.connect(machine)
    with pytest.raises(ProblemError) as caught:
        await core.sessions.request(actor, session_request())
    assert caught.value.code is ProblemCode.WRONG_ROLE
    assert (await core.types(machine.customer_id))[-1] == "session.request_refused"


async def test_unknown_and_invited_endpoints_are_told_apart(core: Core) -> None:
    """A name that does not exist and one whose machine has not enrolled get their own clear answers."""
    actor, machine = await core.actor(), await core.machine()
    await core.enrolment.invite("acme-pbx2", "Acme Dental", address="a:1")
    for name, text in (("nobody", "no endpoint nobody"), ("acme-pbx2", "no machine has enrolled")):
        with pytest.raises(ProblemError, match=text) as caught:
            await core.sessions.request(actor, session_request(name))
        assert caught.value.code is ProblemCode.UNKNOWN_ENDPOINT
    assert machine.name == "acme-pbx1"


async def test_malformed_key_is_refused(core: Core) -> None:
    """A key that has a key's looks but holds none is a bad request, and no session comes of it."""
    actor = await core.actor()
    with pytest.raises(ProblemError) as caught:
        await core.sessions.request(actor, session_request(ssh_public_key="ssh-ed25519 " + "A" * 68))
    assert caught.value.code is ProblemCode.BAD_REQUEST


async def test_too_many_sessions_are_refused(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open sessions are limited."""
    monkeypatch.setattr("latchstring.controller.sessions.service.MAX_OPEN_PER_ACCOUNT", 1)
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    await core.sessions.request(actor, session_request())
    with pytest.raises(ProblemError) as caught:
        await core.sessions.request(actor, session_request())
    assert caught.value.code is ProblemCode.TOO_MANY_SESSIONS


async def test_one_account_does_not_take_all_sessions_of_an_endpoint(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one account may hold at an endpoint leaves room for others."""
    monkeypatch.setattr("latchstring.controller.sessions.service.MAX_OPEN_PER_ACCOUNT_AT_ENDPOINT", 2)
    ada, bob, machine = await core.actor(), await core.actor(email="bob@example.test"), await core.machine()
    await core.connect(machine)
    await core.connect(await core.machine("acme-pbx2"))
    for _ in range(2):
        await core.sessions.request(ada, session_request())
    with pytest.raises(ProblemError) as caught:
        await core.sessions.request(ada, session_request())
    assert caught.value.code is ProblemCode.TOO_MANY_SESSIONS
    await core.sessions.request(ada, session_request("acme-pbx2"))
    await core.sessions.request(bob, session_request())


async def test_refused_requests_do_not_fill_the_log(core: Core) -> None:
    """An account that asks an absent endpoint without end gets its answer each time, and leaves bounded entries."""
    actor, machine = await core.actor(), await core.machine()
    for _ in range(int(ENTRY_BURST) + 50):
        with pytest.raises(ProblemError) as caught:
            await core.sessions.request(actor, session_request())
        assert caught.value.code is ProblemCode.ENDPOINT_OFFLINE
    assert (await core.types(machine.customer_id)).count("session.request_refused") == int(ENTRY_BURST)


async def test_too_frequent_requests_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an account nor all together ask an endpoint more than it would take up; refusals are logged."""
    share = 10
    monkeypatch.setattr("latchstring.controller.sessions.service.CONTROLLER_OFFER_BURST", 3 * share)
    async with open_core(tmp_path / "controller.db") as core:
        actors = [await core.actor(email=f"{name}@example.test") for name in ("ada", "bob", "cy", "dan")]
        machine = await core.machine()
        await core.connect(machine)
        await core.connect(await core.machine("acme-pbx2"))

        async def ask(actor: Actor, endpoint: str = "acme-pbx1") -> None:
            view = await core.sessions.request(actor, session_request(endpoint))
            await core.sessions.close(actor, view.id)

        async def refused(actor: Actor) -> None:
            with pytest.raises(ProblemError) as caught:
                await ask(actor)
            assert caught.value.code is ProblemCode.TOO_MANY_REQUESTS
            logged = (await core.log(machine.customer_id))[-1].event
            assert isinstance(logged, SessionRequestRefused)
            assert (logged.account_id, logged.refusal) == (actor.account_id, RequestRefusal.TOO_MANY_REQUESTS)

        for actor in actors[:3]:
            for _ in range(share):
                await ask(actor)
            await refused(actor)
        await refused(actors[3])
        await ask(actors[3], "acme-pbx2")
        core.clock.advance(CONTROLLER_SECONDS_PER_OFFER)
        await refused(actors[0])
        await ask(actors[3])


async def test_others_sessions_are_out_of_sight(core: Core) -> None:
    """An engineer sees own sessions only; an auditor sees all, and may end none."""
    ada, bob = await core.actor(), await core.actor(email="bob@example.test")
    auditor, machine = await core.actor(Role.AUDITOR, "eve@example.test"), await core.machine()
    await core.connect(machine)
    view = await core.sessions.request(ada, session_request())
    for attempt in (core.sessions.view(bob, view.id), core.sessions.close(bob, view.id)):
        with pytest.raises(ProblemError) as caught:
            await attempt
        assert caught.value.code is ProblemCode.UNKNOWN_SESSION
    assert (await core.sessions.list(bob, 10, everybody=False)).sessions == ()
    assert [found.id for found in (await core.sessions.list(auditor, 10, everybody=True)).sessions] == [view.id]
    for refused in (core.sessions.list(bob, 10, everybody=True), core.sessions.close(auditor, view.id)):
        with pytest.raises(ProblemError) as caught:
            await refused
        assert caught.value.code is ProblemCode.WRONG_ROLE


async def test_waiting_ends_with_the_decision(core: Core) -> None:
    """Who waits for a decision is answered when it is there, not when the wait is over."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    view = await core.sessions.request(actor, session_request())
    waiting = asyncio.create_task(core.sessions.wait_while_waiting(actor, view.id, 60))
    await core.report(machine, events.SessionAsked(session_id=view.id))
    await core.report(machine, core.granted())
    decided = await asyncio.wait_for(waiting, 10)
    assert decided.state is SessionState.GRANTED
    assert decided.granted_seconds == 3600


async def test_waiting_ends_without_a_decision(core: Core) -> None:
    """A wait that is over answers with the session as it stands."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    view = await core.sessions.request(actor, session_request())
    assert (await core.sessions.wait_while_waiting(actor, view.id, 0.01)).state is SessionState.REQUESTED


async def test_withdrawing_a_request(core: Core) -> None:
    """Closing a waiting session takes the request back at the endpoint, in the state and in the log, once."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    view = await core.sessions.request(actor, session_request())
    for _ in range(2):
        closed = await core.sessions.close(actor, view.id)
        assert (closed.state, closed.reason) == (SessionState.WITHDRAWN, Reason.WITHDRAWN)
    assert [message.reason for message in core.channels.of_type("withdraw")] == [Reason.WITHDRAWN]
    assert (await core.types(machine.customer_id)).count("session.withdrawn") == 1


async def test_closing_a_live_session(core: Core) -> None:
    """Closing cuts and tells the endpoint each time, is logged once, and the state follows the endpoint's proof."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = await core.grant(actor, machine)
    for _ in range(2):
        assert (await core.sessions.close(actor, session_id)).state is SessionState.GRANTED
    assert session_id in core.relay.cuts
    assert {message.reason for message in core.channels.of_type("end_session")} == {Reason.CLOSED_BY_ENGINEER}
    assert (await core.types(machine.customer_id)).count("session.close_requested") == 1
    ended = events.SessionEnded(
        session_id=session_id,
        state=SessionState.CLOSED,
        reason=Reason.CLOSED_BY_ENGINEER,
        processes_left=0,
        kill_milliseconds=3,
    )
    await core.report(machine, ended)
    view = await core.sessions.view(actor, session_id)
    assert (view.state, view.explanation) == (SessionState.CLOSED, "the engineer closed the session")


@pytest.mark.parametrize("live", [False, True])
async def test_admin_may_end_any_session(core: Core, live: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """An administrator ends somebody else's session, and log and endpoint hear who it was."""
    actor, admin = await core.actor(), await core.actor(Role.ADMIN, "root@example.test")
    machine = await core.machine()
    await core.connect(machine)
    session_id = (await core.sessions.request(actor, session_request())).id
    if live:
        await core.report(machine, core.granted())
    view = await core.sessions.close(admin, session_id)
    entry = (await core.log(machine.customer_id))[-1]
    assert entry.event.account_id == admin.account_id  # type: ignore[union-attr]  # both possible events have it
    told = core.channels.of_type("end_session" if live else "withdraw")
    assert [message.reason for message in told] == [Reason.ENDED_BY_ADMINISTRATOR]
    assert view.state is (SessionState.GRANTED if live else SessionState.ENDED_BY_VENDOR)


async def test_relayed_bytes_are_logged(core: Core) -> None:
    """The end of a relayed connection is in the customer's log; one of an unknown session is nowhere."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = await core.grant(actor, machine)
    await core.sessions.relay_closed(session_id, 10, 20)
    await core.sessions.relay_closed("ses-aaaaaaaaaaaaaaaa", 1, 2)
    entry = (await core.log(machine.customer_id))[-1]
    assert entry.event == events.RelayClosed(session_id=session_id, bytes_from_engineer=10, bytes_from_endpoint=20)
