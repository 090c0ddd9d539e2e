"""The lifecycle table: reachability, endings, and a state machine that walks it."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from latchstring.protocol.session_state import (
    ENDED,
    FORCED,
    LIVE,
    MEANINGS,
    TRANSITIONS,
    WAITING,
    EndpointHappening,
    Happening,
    ImpossibleTransitionError,
    SessionState,
    forced,
    mermaid,
    next_state,
)


def test_every_state_is_waiting_live_or_ended() -> None:
    """The three sets cover every state, and none is in two."""
    assert set(SessionState) == WAITING | LIVE | ENDED
    assert not WAITING & LIVE
    assert not WAITING & ENDED
    assert not LIVE & ENDED


def test_every_state_can_be_reached() -> None:
    """From the request, the table leads to every state."""
    reached, frontier = {SessionState.REQUESTED}, [SessionState.REQUESTED]
    while frontier:
        for target in TRANSITIONS[frontier.pop()].values():
            if target not in reached:
                reached.add(target)
                frontier.append(target)
    assert reached == set(SessionState)


def test_no_session_is_live_without_a_grant() -> None:
    """The only way from waiting to live is GRANT: there is no path around the customer's decision."""
    for state in WAITING:
        for happening, target in TRANSITIONS[state].items():
            assert (target in LIVE) == (happening is Happening.GRANT)


@pytest.mark.parametrize("state", sorted(ENDED))
@pytest.mark.parametrize("happening", list(Happening))
def test_nothing_leaves_an_ending(state: SessionState, happening: Happening) -> None:
    """What has ended stays ended, whatever happens."""
    with pytest.raises(ImpossibleTransitionError, match=f"{state} cannot {happening}"):
        next_state(state, happening)


@pytest.mark.parametrize("endpoint_happening", list(EndpointHappening))
@pytest.mark.parametrize("state", list(SessionState))
def test_what_is_forced_is_possible_and_ends(endpoint_happening: EndpointHappening, state: SessionState) -> None:
    """Whatever befalls an endpoint, each of its sessions that has not ended has a way to end."""
    happening = forced(endpoint_happening, state)
    if state in ENDED:
        assert happening is None
    else:
        assert happening is not None
        assert next_state(state, happening) in ENDED


def test_every_happening_is_used_and_explained() -> None:
    """No happening is dead, and each has words for people."""
    used = {happening for onward in TRANSITIONS.values() for happening in onward}
    assert used == set(Happening) == set(MEANINGS)
    assert set(FORCED) == set(EndpointHappening)


def test_diagram_has_each_transition() -> None:
    """The diagram is the table."""
    lines = mermaid().splitlines()
    for state, onward in TRANSITIONS.items():
        for happening, target in onward.items():
            assert f"    {state} --> {target}: {happening}" in lines


class Walk(RuleBasedStateMachine):
    """Anything may happen at any time; the table decides."""

    def __init__(self) -> None:
        super().__init__()
        self.state = SessionState.REQUESTED
        self.was_granted = False
        self.was_ended = False

    @rule(happening=st.sampled_from(Happening))
    def happen(self, happening: Happening) -> None:
        """Let something happen; what the table lacks changes nothing."""
        before = self.state
        try:
            self.state = next_state(before, happening)
        except ImpossibleTransitionError:
            assert happening not in TRANSITIONS[before]
            return
        self.was_granted = self.was_granted or happening is Happening.GRANT

    @invariant()
    def live_only_after_a_grant(self) -> None:
        """A live session was granted once."""
        assert self.state not in LIVE or self.was_granted

    @invariant()
    def ended_for_good(self) -> None:
        """An ended session stays ended."""
        assert not self.was_ended or self.state in ENDED
        self.was_ended = self.state in ENDED


TestWalk = Walk.TestCase
TestWalk.__doc__ = "A random walk never finds a live session without a grant, nor a way back from an ending."
