"""Dials: who may connect to what, and in which order it is logged, issued and told."""

import pytest

from controller_parts import NAME, Core, session_request
from latchstring.certs.ssh_public_key import certificate_blob
from latchstring.certs.ssh_verify import verify_user_certificate
from latchstring.controller.log.refusals import ENTRY_BURST
from latchstring.protocol import events
from latchstring.protocol.api import DialRequest
from latchstring.protocol.problems import ProblemCode, ProblemError

DIAL = DialRequest(endpoint="acme-pbx1")


async def test_dial_gives_both_sides_what_they_need(core: Core) -> None:
    """The engineer gets certificate and ticket, the endpoint the other ticket, and the log says so."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = await core.grant(actor, machine)
    answer = await core.dials.dial(actor, DIAL)
    (message,) = core.channels.of_type("dial_relay")
    assert (answer.session_id, answer.dial_id, answer.relay_port) == (session_id, message.dial_id, 7022)
    assert (answer.relay_host, message.host) == (NAME, NAME)
    assert answer.secret != message.secret
    assert answer.secret not in repr(answer)
    assert (await core.types(machine.customer_id))[-1] == "session.dialled"


async def test_certificate_is_for_this_session_and_grant(core: Core) -> None:
    """The certificate names the session, the endpoint and the digest that the customer consented to."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    session_id = await core.grant(actor, machine)
    answer = await core.dials.dial(actor, DIAL)
    verified = verify_user_certificate(certificate_blob(answer.certificate), core.dials._user_ca.public_key)
    async with core.store.read() as tx:
        session = await tx.sessions.by_id(session_id)
    assert session is not None
    assert (verified.session_id, verified.endpoint_id) == (session_id, machine.endpoint_id)
    assert verified.grant_digest == session.grant_digest


async def test_newest_live_session_is_dialled(core: Core) -> None:
    """Of several live sessions the newest is taken, and one that is being closed is not."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    older = await core.grant(actor, machine)
    core.clock.advance(1)
    newer = await core.grant(actor, machine)
    assert (await core.dials.dial(actor, DIAL)).session_id == newer
    await core.sessions.close(actor, newer)
    assert (await core.dials.dial(actor, DIAL)).session_id == older


async def test_refused_dials_do_not_fill_the_log(core: Core) -> None:
    """A client that dials without end, and has no session, gets its answer each time, and leaves bounded entries."""
    actor, machine = await core.actor(), await core.machine()
    for _ in range(100):
        with pytest.raises(ProblemError, match="you have no session"):
            await core.dials.dial(actor, DIAL)
    assert (await core.types(machine.customer_id)).count("session.dial_refused") == int(ENTRY_BURST)


async def test_no_live_session_says_why(core: Core) -> None:
    """Without a session, with one that waits, is being closed, or is over: one clear reason each, all logged."""
    actor, machine = await core.actor(), await core.machine()
    await core.connect(machine)
    with pytest.raises(ProblemError, match="you have no session") as caught:
        await core.dials.dial(actor, DIAL)
    assert caught.value.code is ProblemCode.NO_LIVE_SESSION
    view = await core.sessions.request(actor, session_request())
    with pytest.raises(ProblemError, match="waits for the customer's consent"):
        await core.dials.dial(actor, DIAL)
    await core.report(machine, core.granted())
    await core.sessions.close(actor, view.id)
    with pytest.raises(ProblemError, match="is being closed"):
        await core.dials.dial(actor, DIAL)
    core.clock.advance(1)
    view = await core.sessions.request(actor, session_request())
    await core.sessions.close(actor, view.id)
    with pytest.raises(ProblemError, match="is over: the engineer took the request back"):
        await core.dials.dial(actor, DIAL)
    assert (await core.types(machine.customer_id)).count("session.dial_refused") == 4
    assert core.relay.issued == []


async def test_others_session_cannot_be_dialled(core: Core) -> None:
    """A live session serves the engineer who opened it and nobody else."""
    actor, other, machine = await core.actor(), await core.actor(email="b@example.test"), await core.machine()
    await core.connect(machine)
    await core.grant(actor, machine)
    with pytest.raises(ProblemError) as caught:
        await core.dials.dial(other, DIAL)
    assert caught.value.code is ProblemCode.NO_LIVE_SESSION


async def test_offline_and_busy_are_refused_and_logged(core: Core) -> None:
    """An endpoint that is away, and a relay that is full, are told apart and logged."""
    actor, machine = await core.actor(), await core.machine()
    answer = await core.connect(machine)
    await core.grant(actor, machine)
    core.relay.busy = True
    with pytest.raises(ProblemError) as caught:
        await core.dials.dial(actor, DIAL)
    assert caught.value.code is ProblemCode.BUSY
    await core.disconnect(machine, answer)
    with pytest.raises(ProblemError) as caught:
        await core.dials.dial(actor, DIAL)
    assert caught.value.code is ProblemCode.ENDPOINT_OFFLINE
    refusals = [
        entry.event.refusal
        for entry in await core.log(machine.customer_id)
        if isinstance(entry.event, events.SessionDialRefused)
    ]
    assert refusals == [events.DialRefusal.RELAY_BUSY, events.DialRefusal.ENDPOINT_OFFLINE]
    with pytest.raises(ProblemError, match="no endpoint nobody"):
        await core.dials.dial(actor, DialRequest(endpoint="nobody"))
