"""From an offer to its end: one outcome of every race, and it is the safe one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from endpoint_parts import House, make_house, make_offer, session_id
from latchstring.endpoint.errors import EndpointError, RefusedError, UsageFaultError
from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.sandbox.errors import SandboxUnavailableError
from latchstring.protocol.access import AccessMode
from latchstring.protocol.endings import Reason
from latchstring.protocol.events import EndpointEvent, SessionEnded, SessionGranted, SessionRefused
from latchstring.protocol.grants import grant_from_offer
from latchstring.protocol.offer_rate import OFFER_BURST, SECONDS_PER_OFFER

ID = session_id()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A lifecycle with a journal and sandboxes that only count."""
    async with make_house(tmp_path, Policy(idle_timeout=600)) as house:
        yield house


def refusal(house: House) -> SessionRefused:
    """Return the only refusal in the journal."""
    (event,) = [event for event in house.events() if isinstance(event, SessionRefused)]
    return event


def numbered_id(number: int) -> str:
    """Return one of many ids of sessions."""
    return "ses-" + "a" * 14 + f"{chr(97 + number // 26)}{chr(97 + number % 26)}"


async def approve(house: House) -> object:
    """Say yes to all of the request."""
    return await house.lifecycle.approve(ID, capabilities=None, duration_seconds=None)


async def test_on_grants_at_once(house: House) -> None:
    """With the switch on, the grant is in the journal before the session can be used, with the digest of its grant."""
    house.mode = AccessMode.ON
    await house.offered()
    (granted,) = house.events()
    assert isinstance(granted, SessionGranted)
    offer = make_offer()
    grant = grant_from_offer(offer, capabilities=offer.capabilities, duration_seconds=3600)
    assert granted.grant_digest == grant.digest()


async def test_no_more_sessions_than_the_policy_says_however_many_are_approved(tmp_path: Path) -> None:
    """Several yeses at once open as many sessions as there may be, and the others are refused."""
    async with make_house(tmp_path, Policy(max_sessions=2)) as house:
        ids = [await house.offered(number) for number in range(4)]
        answers = [house.lifecycle.approve(each, capabilities=None, duration_seconds=None) for each in ids]
        outcomes = await asyncio.gather(*answers, return_exceptions=True)
        assert [isinstance(outcome, RefusedError) for outcome in outcomes] == [False, False, True, True]
        assert len(house.lifecycle.sessions) == 2


async def test_ask_waits_and_approve_opens(house: House) -> None:
    """With the switch at ask nothing opens before the yes, and the yes can only narrow."""
    await house.offered()
    assert house.types() == ["session.asked"]
    assert not house.sandboxes
    for capabilities, seconds in ((("exec", "sftp_read"), None), (None, 3601), ((), None)):
        with pytest.raises(UsageFaultError):
            await house.lifecycle.approve(ID, capabilities=capabilities, duration_seconds=seconds)
    session = await house.lifecycle.approve(ID, capabilities=("exec",), duration_seconds=60)
    assert session.is_live
    assert session.grant.capabilities == ("exec",)
    assert session.grant.duration_seconds == 60


async def test_yes_and_no_at_once(house: House) -> None:
    """Of a yes and a no in the same moment the first decides, and the other is told so."""
    await house.offered()
    results = await asyncio.gather(house.lifecycle.refuse(ID, note=None), approve(house), return_exceptions=True)
    assert results[0] is True
    assert isinstance(results[1], RefusedError)
    assert house.types() == ["session.asked", "session.refused"]
    assert not house.lifecycle.sessions.ids()


async def test_no_during_a_yes_is_too_late(house: House) -> None:
    """Once a yes is being carried out, a no is told so, and the session can be ended."""
    await house.offered()
    house.gate.clear()
    yes = asyncio.create_task(approve(house))
    await house.starting.wait()
    with pytest.raises(EndpointError):
        await house.lifecycle.refuse(ID, note=None)
    house.gate.set()
    await yes
    assert house.lifecycle.sessions.ids() == (ID,)


@pytest.mark.parametrize("reason", [Reason.ACCESS_OFF, Reason.CONTROLLER_UNREACHABLE, Reason.ENDPOINT_REVOKED])
async def test_off_while_the_sandbox_starts(house: House, reason: Reason) -> None:
    """What is being opened when everything ends never opens: the sandbox is killed, the request refused."""
    await house.offered()
    house.gate.clear()
    yes = asyncio.create_task(approve(house))
    await house.starting.wait()
    house.lifecycle.end_all(reason)
    house.gate.set()
    with pytest.raises(RefusedError):
        await yes
    await house.journal.flush(5)
    assert refusal(house).reason is reason
    assert [sandbox.is_alive for sandbox in house.sandboxes] == [False]
    assert "session.granted" not in house.types()


async def test_off_while_the_grant_is_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grant that became durable in the moment of the switch ends at once, and the journal says both."""
    await house.offered()
    append = house.journal.append

    async def append_and_turn_off(event: EndpointEvent, **options: Any) -> int:
        sequence = await append(event, **options)
        house.lifecycle.end_all(Reason.ACCESS_OFF)
        return sequence

    monkeypatch.setattr(house.journal, "append", append_and_turn_off)
    with pytest.raises(RefusedError, match="turned access off"):
        await approve(house)
    await house.lifecycle.settle()
    await house.journal.flush(5)
    assert [sandbox.is_alive for sandbox in house.sandboxes] == [False]
    assert house.types() == ["session.asked", "session.granted", "session.ended"]
    assert not house.lifecycle.sessions.ids()


async def test_switch_is_asked_again_before_the_grant(house: House) -> None:
    """A switch that somebody moved by hand while the sandbox started is seen."""
    await house.offered()
    house.gate.clear()
    yes = asyncio.create_task(approve(house))
    await house.starting.wait()
    house.mode = AccessMode.OFF
    house.gate.set()
    with pytest.raises(RefusedError, match="turned access off"):
        await yes


async def test_approve_after_off(house: House) -> None:
    """A request that off refused cannot be approved any more."""
    await house.offered()
    house.mode = AccessMode.OFF
    assert house.lifecycle.refuse_all(Reason.ACCESS_OFF) == 1
    with pytest.raises(EndpointError):
        await approve(house)
    await house.journal.flush(5)
    assert refusal(house).reason is Reason.ACCESS_OFF


async def test_approve_after_lapse(house: House) -> None:
    """A request that nobody answered in time is refused as unanswered, and cannot be approved any more."""
    await house.offered()
    house.clock.elapsed = 600
    house.lifecycle.enforce_times()
    with pytest.raises(EndpointError):
        await approve(house)
    await house.journal.flush(5)
    assert refusal(house).reason is Reason.UNANSWERED


async def test_withdrawn(house: House) -> None:
    """A request that was taken back is gone without a word of ours; so is one that is being opened."""
    await house.offered()
    house.lifecycle.withdraw(ID, Reason.WITHDRAWN)
    with pytest.raises(EndpointError):
        await approve(house)
    assert house.types() == ["session.asked"]


@pytest.mark.parametrize("mode", [AccessMode.ON, AccessMode.ASK])
@pytest.mark.parametrize("reason", [Reason.WITHDRAWN, Reason.CLOSED_BY_ENGINEER])
async def test_withdrawn_while_it_arrives(house: House, mode: AccessMode, reason: Reason) -> None:
    """An offer that is taken back before it was looked at comes to nothing, whatever the switch says."""
    house.mode = mode
    house.lifecycle.offer(make_offer())
    house.lifecycle.withdraw(ID, reason)
    await asyncio.wait_for(house.lifecycle.settle(), 5)  # it would wait for a live session
    await house.journal.flush(5)
    assert not house.sandboxes
    assert not house.lifecycle.sessions.ids()
    assert not house.lifecycle.requests.shown()
    assert house.types() == ([] if reason is Reason.WITHDRAWN else ["session.refused"])


@pytest.mark.parametrize("turns", range(6))
async def test_withdrawn_at_any_step(house: House, turns: int) -> None:
    """However far an offer has come when it is taken back, no session of it stays live."""
    house.mode = AccessMode.ON
    house.lifecycle.offer(make_offer())
    for _ in range(turns):
        await house.journal.standing(session_id(1))  # a turn of the loop and of the journal's thread
    house.lifecycle.withdraw(ID, Reason.WITHDRAWN)
    assert not house.lifecycle.sessions.ids()
    await asyncio.wait_for(house.lifecycle.settle(), 5)  # it would wait for a live session
    assert not house.lifecycle.sessions.ids()
    assert not any(sandbox.is_alive for sandbox in house.sandboxes)


async def test_all_ended_while_an_offer_arrives(house: House) -> None:
    """What ends every session also stops an offer that was not looked at yet, and the journal says why."""
    house.mode = AccessMode.ON
    house.lifecycle.offer(make_offer())
    house.lifecycle.end_all(Reason.ENDPOINT_REVOKED)
    await asyncio.wait_for(house.lifecycle.settle(), 5)  # it would wait for a live session
    await house.journal.flush(5)
    assert not house.lifecycle.sessions.ids()
    assert refusal(house).reason is Reason.ENDPOINT_REVOKED


async def test_a_flood_of_offers_leaves_no_trace(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """With access off a controller that floods gets its first offers refused; the others add nothing to the journal."""
    house.mode = AccessMode.OFF
    before = int(OFFER_BURST) - 100
    assert all(house.lifecycle._limit.admit() for _ in range(before))
    for number in range(170):
        house.lifecycle.offer(make_offer(0, session_id=numbered_id(number)))
    await house.lifecycle.settle()
    await house.journal.flush(5)
    assert house.types() == ["session.refused"] * 100
    assert [record.levelname for record in caplog.records].count("WARNING") == 1


async def test_repeated_offers(house: House) -> None:
    """An offer that is repeated, at once, later, or after its end, is answered once."""
    for _ in range(3):
        house.lifecycle.offer(make_offer())
    await house.offered()
    await approve(house)
    house.lifecycle.offer(make_offer())
    await asyncio.gather(*house.lifecycle.end_all(Reason.ENDED_BY_CUSTOMER))
    house.lifecycle.offer(make_offer())
    await house.lifecycle.settle()
    await house.journal.flush(5)
    assert house.types() == ["session.asked", "session.granted", "session.ended"]


@pytest.mark.parametrize("gone", ["withdrawn", "lapsed by the controller"])
async def test_bait_and_switch(house: House, gone: str, caplog: pytest.LogCaptureFixture) -> None:
    """An id that comes back with other contents is refused, so that a yes can only mean what was shown."""
    await house.offered()
    house.lifecycle.withdraw(ID, Reason.WITHDRAWN if gone == "withdrawn" else Reason.UNANSWERED)
    await house.offered(capabilities=("exec", "sftp_write", "shell"), duration_seconds=86_400)
    assert house.lifecycle.requests.shown() == []
    with pytest.raises(RefusedError):
        await approve(house)
    assert refusal(house).reason is Reason.POLICY
    assert "with other contents" in caplog.text
    await house.offered()
    assert house.lifecycle.requests.shown() == []


async def test_the_same_offer_may_come_back(house: House) -> None:
    """A controller that forgot that it withdrew a request, and repeats it word for word, is heard."""
    await house.offered()
    house.lifecycle.withdraw(ID, Reason.WITHDRAWN)
    await house.offered()
    await approve(house)
    assert house.lifecycle.sessions.ids() == (ID,)


@pytest.mark.parametrize("changes", [{"endpoint_id": "ept-" + "b" * 16}, {"customer_id": "cus-" + "b" * 16}])
async def test_offer_for_another_endpoint(house: House, changes: dict[str, Any]) -> None:
    """An offer for another endpoint, or another customer, is refused, whatever the switch says."""
    house.mode = AccessMode.ON
    await house.offered(**changes)
    assert refusal(house).reason is Reason.POLICY
    assert not house.sandboxes


async def test_no_sandbox_no_session(house: House) -> None:
    """A machine that cannot confine refuses, with its reason."""
    house.mode = AccessMode.ON
    house.sandbox_fault = SandboxUnavailableError("bwrap is missing")
    await house.offered()
    assert house.types() == ["session.refused"]
    assert refusal(house).reason is Reason.SANDBOX_UNAVAILABLE


async def test_no_journal_no_session(house: House) -> None:
    """While the journal cannot be written nothing opens; the refusal is written once it can."""
    house.mode = AccessMode.ON
    house.store.broken = True
    house.lifecycle.offer(make_offer())
    await house.lifecycle.settle()
    assert not house.lifecycle.sessions.ids()
    assert not any(sandbox.is_alive for sandbox in house.sandboxes)
    house.store.broken = False
    await house.journal.flush(5)
    assert refusal(house).reason is Reason.JOURNAL_UNAVAILABLE
    assert house.types() == ["session.refused"]


@pytest.mark.parametrize(
    ("seconds", "reason", "state"), [(600, Reason.IDLE, "expired"), (3600, Reason.DEADLINE, "expired")]
)
async def test_times_end_sessions(house: House, seconds: int, reason: Reason, state: str) -> None:
    """A session ends at its deadline, and before if nobody is connected, by the monotonic clock."""
    house.mode = AccessMode.ON
    await house.offered()
    session = house.lifecycle.sessions.find(ID)
    assert session is not None
    house.clock.elapsed = seconds - 1
    if reason is Reason.DEADLINE:
        session._idle_since = house.clock.monotonic()
    house.lifecycle.enforce_times()
    assert house.lifecycle.sessions.ids() == (ID,)
    house.clock.elapsed = seconds
    house.lifecycle.enforce_times()
    assert house.lifecycle.sessions.ids() == ()
    await house.lifecycle.settle()
    await house.journal.flush(5)
    ended = house.events()[-1]
    assert isinstance(ended, SessionEnded)
    assert (ended.reason, ended.state, ended.processes_left) == (reason, state, 0)


async def test_past_its_deadline_it_is_not_live(house: House) -> None:
    """A session is not live past its deadline, even if nobody has come to end it yet."""
    house.mode = AccessMode.ON
    await house.offered()
    session = house.lifecycle.sessions.find(ID)
    assert session is not None
    house.clock.elapsed = 3600
    assert not session.is_live


async def test_a_sandbox_that_dies_ends_its_session(house: House) -> None:
    """A session does not outlive its sandbox."""
    house.mode = AccessMode.ON
    await house.offered()
    house.sandboxes[0].ended.set()
    await house.lifecycle.settle()
    await house.journal.flush(5)
    ended = house.events()[-1]
    assert isinstance(ended, SessionEnded)
    assert ended.reason is Reason.SANDBOX_DIED


async def test_first_reason_stays(house: House) -> None:
    """Of two endings at once the first one's reason is in the journal, once."""
    house.mode = AccessMode.ON
    await house.offered()
    first = house.lifecycle.end(ID, Reason.ENDED_BY_CUSTOMER)
    assert first is not None
    assert house.lifecycle.end(ID, Reason.CLOSED_BY_ENGINEER) is None
    assert (await first).reason is Reason.ENDED_BY_CUSTOMER
    await house.journal.flush(5)
    assert house.types().count("session.ended") == 1


async def test_too_many_requests(house: House) -> None:
    """A controller that floods fills no table: what is too much is refused."""
    for number in range(64):
        house.clock.elapsed += SECONDS_PER_OFFER
        await house.offered(0, session_id=numbered_id(number))
    house.clock.elapsed += SECONDS_PER_OFFER
    await house.offered(1)
    assert refusal(house).reason is Reason.TOO_MANY_SESSIONS
