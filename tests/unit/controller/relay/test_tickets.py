"""The ticket table: single use for each role, expiry, withdrawal, bounds."""

import os

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from latchstring.controller.relay.errors import Refusal, RelayBusyError, TicketError
from latchstring.controller.relay.limits import RelayLimits
from latchstring.controller.relay.tickets import Dial, TicketTable
from latchstring.protocol.dial import Role, UnverifiedPreamble, parse_preamble
from relay_parties import OTHER_SESSION, SESSION, preamble_of

LIMITS = RelayLimits(pairs=6, pairs_per_session=4)


@pytest.fixture
def table() -> TicketTable:
    """An empty table."""
    return TicketTable(random=os.urandom, limits=LIMITS)


def preamble(dial: Dial, role: Role) -> UnverifiedPreamble:
    """Return what the holder of this role's ticket sends."""
    return parse_preamble(preamble_of(dial, role))


def refusal(table: TicketTable, received: UnverifiedPreamble, now: float) -> Refusal:
    """Consume, and return why it was refused."""
    with pytest.raises(TicketError) as caught:
        table.consume(received, now)
    return caught.value.refusal


def test_each_role_is_consumed_once(table: TicketTable) -> None:
    """Both tickets of a dial work, in any order, and then the dial is gone."""
    dial = table.issue(SESSION, 0)
    assert table.consume(preamble(dial, Role.ENDPOINT), 1).role is Role.ENDPOINT
    assert table.consume(preamble(dial, Role.ENGINEER), 2).session_id == SESSION
    assert len(table) == 0
    assert refusal(table, preamble(dial, Role.ENGINEER), 2) is Refusal.UNKNOWN_DIAL


def test_replay_is_refused(table: TicketTable) -> None:
    """A preamble that was seen on the wire is worth nothing, and does not spoil the other side's ticket."""
    dial = table.issue(SESSION, 0)
    table.consume(preamble(dial, Role.ENGINEER), 1)
    assert refusal(table, preamble(dial, Role.ENGINEER), 1) is Refusal.USED
    assert table.consume(preamble(dial, Role.ENDPOINT), 1).dial_id == dial.dial_id


def test_ticket_expires(table: TicketTable) -> None:
    """A ticket works until just before its time and not from then on."""
    dial = table.issue(SESSION, 100)
    assert dial.expires == 100 + LIMITS.ticket_seconds
    table.consume(preamble(dial, Role.ENGINEER), dial.expires - 0.001)
    assert refusal(table, preamble(dial, Role.ENDPOINT), dial.expires) is Refusal.EXPIRED


def test_forgery_uses_up_nothing(table: TicketTable) -> None:
    """Who knows the ids but not the secret is refused, and the true holder still gets in."""
    dial = table.issue(SESSION, 0)
    forger = Dial(
        dial_id=dial.dial_id, session_id=SESSION, engineer_secret=bytes(32), endpoint_secret=bytes(32), expires=99
    )
    assert refusal(table, preamble(forger, Role.ENGINEER), 1) is Refusal.FORGED
    assert table.consume(preamble(dial, Role.ENGINEER), 1).dial_id == dial.dial_id


def test_ticket_of_another_session_is_refused(table: TicketTable) -> None:
    """A holder cannot move its ticket to another session."""
    dial = table.issue(SESSION, 0)
    moved = Dial(
        dial_id=dial.dial_id,
        session_id=OTHER_SESSION,
        engineer_secret=dial.engineer_secret,
        endpoint_secret=dial.endpoint_secret,
        expires=dial.expires,
    )
    assert refusal(table, preamble(moved, Role.ENGINEER), 1) is Refusal.FORGED


def test_one_secret_per_role(table: TicketTable) -> None:
    """The engineer's secret does not open the endpoint's side."""
    dial = table.issue(SESSION, 0)
    assert dial.engineer_secret != dial.endpoint_secret
    swapped = Dial(
        dial_id=dial.dial_id,
        session_id=SESSION,
        engineer_secret=dial.endpoint_secret,
        endpoint_secret=dial.engineer_secret,
        expires=dial.expires,
    )
    for role in Role:
        assert refusal(table, preamble(swapped, role), 1) is Refusal.FORGED


def test_withdrawn_session_has_no_tickets(table: TicketTable) -> None:
    """Cutting a session voids its tickets, used in part or not, and no other's."""
    half, unused, other = (table.issue(session, 0) for session in (SESSION, SESSION, OTHER_SESSION))
    table.consume(preamble(half, Role.ENGINEER), 1)
    table.withdraw_session(SESSION)
    table.withdraw_session(SESSION)
    assert refusal(table, preamble(half, Role.ENDPOINT), 1) is Refusal.UNKNOWN_DIAL
    assert refusal(table, preamble(unused, Role.ENGINEER), 1) is Refusal.UNKNOWN_DIAL
    assert table.consume(preamble(other, Role.ENGINEER), 1).dial_id == other.dial_id


def test_sessions_and_the_table_are_bounded(table: TicketTable) -> None:
    """One session cannot take more than its share, all together not more than the table, until tickets expire."""
    for _ in range(LIMITS.pairs_per_session):
        table.issue(SESSION, 0)
    with pytest.raises(RelayBusyError, match="one session"):
        table.issue(SESSION, 0)
    table.issue(OTHER_SESSION, 1)
    table.issue(OTHER_SESSION, 1)
    with pytest.raises(RelayBusyError, match="relay"):
        table.issue(OTHER_SESSION, 1)
    assert table.issue(SESSION, LIMITS.ticket_seconds).session_id == SESSION


def test_open_pairs_count_towards_the_bounds(table: TicketTable) -> None:
    """A session that has its connections open gets no more, so a loop of dials cannot crowd the relay."""
    with pytest.raises(RelayBusyError):
        table.issue(SESSION, 0, pairs=LIMITS.pairs)
    with pytest.raises(RelayBusyError):
        table.issue(SESSION, 0, pairs=4, pairs_of_session=LIMITS.pairs_per_session)


def test_secrets_are_not_shown(table: TicketTable) -> None:
    """Neither a dial's repr nor an error gives a secret away."""
    dial = table.issue(SESSION, 0)
    for secret in (dial.engineer_secret, dial.endpoint_secret):
        assert secret.hex() not in repr(dial)
        assert repr(secret)[2:-1] not in repr(dial)


class TicketMachine(RuleBasedStateMachine):
    """Random issues, uses, cuts and waits, against a model of what each ticket may still do."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.table = TicketTable(random=os.urandom, limits=LIMITS)
        self.usable: dict[tuple[str, Role], Dial] = {}

    dials = Bundle("dials")

    @rule(target=dials, session_id=st.sampled_from([SESSION, OTHER_SESSION]))
    def issue(self, session_id: str) -> Dial:
        """Issue, if there is room."""
        try:
            dial = self.table.issue(session_id, self.now)
        except RelayBusyError:
            return multiple()  # type: ignore[return-value]  # hypothesis's way to add nothing to the bundle
        self.usable |= {(dial.dial_id, role): dial for role in Role}
        return dial

    @rule(dial=dials, role=st.sampled_from(Role))
    def consume(self, dial: Dial, role: Role) -> None:
        """Consume: it works exactly if the model says so."""
        expected = self.usable.pop((dial.dial_id, role), None)
        if expected is not None and self.now < expected.expires:
            ticket = self.table.consume(preamble(dial, role), self.now)
            assert (ticket.dial_id, ticket.session_id, ticket.role) == (dial.dial_id, dial.session_id, role)
        else:
            refusal(self.table, preamble(dial, role), self.now)

    @rule(session_id=st.sampled_from([SESSION, OTHER_SESSION]))
    def withdraw_session(self, session_id: str) -> None:
        """Cut."""
        self.table.withdraw_session(session_id)
        self.usable = {key: dial for key, dial in self.usable.items() if dial.session_id != session_id}

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @rule()
    def sweep(self) -> None:
        """Forget what expired: the table holds only dials with a usable ticket."""
        self.table.sweep(self.now)
        usable = {dial_id for (dial_id, _), dial in self.usable.items() if self.now < dial.expires}
        assert len(self.table) == len(usable)

    @invariant()
    def is_bounded(self) -> None:
        """Whatever is asked of it, the table stays within its bound."""
        assert len(self.table) <= LIMITS.pairs


TestTicketMachine = TicketMachine.TestCase
