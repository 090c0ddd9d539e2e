"""What the customer can ask of a running agent."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from endpoint_parts import House, make_house, session_id
from latchstring.endpoint.access_control import AccessControl
from latchstring.endpoint.customer_commands import CustomerCommands, find_by_prefix
from latchstring.endpoint.errors import EndpointError, UsageFaultError
from latchstring.endpoint.local.messages import (
    AccessAnswer,
    Approve,
    Decided,
    End,
    Ended,
    GetAccess,
    ListRequests,
    ListSessions,
    Refuse,
    RequestList,
    SessionList,
    SetAccess,
    StatusAnswer,
)
from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.switch import Switch
from latchstring.protocol.access import AccessMode
from latchstring.protocol.endings import Reason


class Customer:
    """Gives commands, and is sometimes without a controller."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.connected = True
        switch = Switch(house.directory, house.clock, boot_id="this")
        switch.move(AccessMode.ASK)
        house.lifecycle._mode = lambda: switch.mode
        access = AccessControl(switch, house.lifecycle, house.journal, house.clock, policy=Policy)
        self.commands = CustomerCommands(
            house.lifecycle,
            access,
            status=self.status,
            reload_policy=self.reload_policy,
            connected=lambda: self.connected,
            clock=house.clock,
        )

    def status(self) -> StatusAnswer:
        """Nobody asks."""
        raise AssertionError

    async def reload_policy(self) -> bool:
        """Put another policy in force, under which there is nothing to do."""
        self.house.lifecycle.obey(Policy.model_validate({"engineers": ["nobody@example.test"]}))
        return True

    async def __call__(self, request: object) -> object:
        """Give one command."""
        return await self.commands(request, lambda _: None)  # type: ignore[arg-type]  # each is one of the union


@pytest.fixture
async def customer(tmp_path: Path) -> AsyncIterator[Customer]:
    """A customer whose policy is a little narrower than what engineers ask for."""
    policy = Policy.model_validate({"capabilities": {"others": "refuse", "exec": "grant"}, "longest_session": "30m"})
    async with make_house(tmp_path, policy) as house:
        yield Customer(house)


async def test_requests_show_who_why_and_what_is_possible(customer: Customer) -> None:
    """A request shows what was asked for, and what the policy leaves of it."""
    await customer.house.offered(purpose="support_request", ticket="SUP-1", note="dial plan")
    listed = await customer(ListRequests())
    assert isinstance(listed, RequestList)
    (request,) = listed.requests
    assert (request.engineer.email, request.ticket, request.note) == ("ann@example.test", "SUP-1", "dial plan")
    assert (request.requested_capabilities, request.capabilities) == (("exec", "shell"), ("exec",))
    assert (request.requested_seconds, request.seconds, request.lapses_in_seconds) == (3600, 1800, 600)


async def test_a_beginning_that_meant_another_request(customer: Customer) -> None:
    """A beginning that was a request's which is gone says yes to no other; the whole id does, and names whose it is."""
    first, second = session_id(), session_id(1)
    prefix = first[:-1]
    await customer.house.offered()
    customer.house.lifecycle.withdraw(first, Reason.WITHDRAWN)
    await customer.house.offered(1)
    with pytest.raises(UsageFaultError, match=f"say yes to the whole id, {second}"):
        await customer(Approve(id=prefix))
    decided = await customer(Approve(id=second))
    assert isinstance(decided, Decided)
    assert (decided.id, decided.engineer.email) == (second, "ann@example.test")


async def test_from_yes_to_end(customer: Customer) -> None:
    """A yes makes a session, which is listed with its deadline, and ended with its proof."""
    await customer.house.offered()
    decided = await customer(Approve(id=session_id()[:8], seconds=60))
    assert isinstance(decided, Decided)
    assert (decided.id, decided.capabilities, decided.seconds) == (session_id(), ("exec",), 60)
    listed = await customer(ListSessions())
    assert isinstance(listed, SessionList)
    assert [(item.state, item.seconds_left, item.connections) for item in listed.sessions] == [("granted", 60, 0)]
    ended = await customer(End(id=session_id()))
    assert isinstance(ended, Ended)
    assert (ended.state, ended.processes_left) == ("ended_by_customer", 0)
    with pytest.raises(EndpointError, match="no live session"):
        await customer(End(id=session_id()))


async def test_no_yes_without_a_controller(customer: Customer) -> None:
    """A yes that nobody could use is not given, and the request still waits."""
    await customer.house.offered()
    customer.connected = False
    with pytest.raises(EndpointError, match="not connected"):
        await customer(Approve(id=session_id()))
    customer.connected = True
    with pytest.raises(UsageFaultError, match="shell"):
        await customer(Approve(id=session_id(), capabilities=("exec", "shell")))
    assert isinstance(await customer(Approve(id=session_id())), Decided)


async def test_no(customer: Customer) -> None:
    """A no is taken with its note, also while the journal cannot be written, and then says so."""
    await customer.house.offered(0)
    await customer.house.offered(1)
    decided = await customer(Refuse(id=session_id(0), note="not today"))
    assert isinstance(decided, Decided)
    assert decided.note is None
    customer.house.store.broken = True
    decided = await customer(Refuse(id=session_id(1)))
    assert isinstance(decided, Decided)
    assert decided.note is not None


async def test_switch(customer: Customer) -> None:
    """The switch answers where it stands, when it moves by itself, and what off did."""
    await customer.house.offered()
    answer = await customer(SetAccess(mode=AccessMode.ON, seconds=60))
    assert isinstance(answer, AccessAnswer)
    assert (answer.access, answer.then, answer.requests_waiting) == (AccessMode.ON, AccessMode.ASK, 1)
    assert answer == await customer(GetAccess())
    off = await customer(SetAccess(mode=AccessMode.OFF))
    assert isinstance(off, AccessAnswer)
    assert (off.access, off.requests_refused, off.processes_left, off.note) == (AccessMode.OFF, 1, 0, None)


class Named:
    """Something with an id."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id


@pytest.mark.parametrize(
    ("text", "found"),
    [("ses-ab", "ses-abc"), ("ab", "ses-abc"), ("ses-x", "ses-xyz"), ("a", "2 ids"), ("", "there is no"), ("q", "q")],
)
def test_prefixes(text: str, found: str) -> None:
    """Any unique beginning will do, with or without the kind; what is not unique, or empty, is refused."""
    candidates = [Named("ses-abc"), Named("ses-aaa"), Named("ses-xyz")]
    if found.startswith("ses-"):
        assert find_by_prefix(text, candidates, "thing").session_id == found
    else:
        with pytest.raises(EndpointError, match=found):
            find_by_prefix(text, candidates, "thing")
