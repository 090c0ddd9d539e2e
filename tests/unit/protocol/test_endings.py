"""Reasons: each is explained, and what ends a live session is in the lifecycle's table."""

from latchstring.protocol.endings import EXPLANATIONS, HAPPENINGS, Reason
from latchstring.protocol.session_state import ENDED, LIVE, next_state


def test_every_reason_is_explained() -> None:
    """People are never shown a bare code."""
    assert set(EXPLANATIONS) == set(Reason)


def test_every_ending_ends_a_live_session() -> None:
    """Whatever reason an endpoint gives, the table has the transition."""
    for happening in HAPPENINGS.values():
        for state in LIVE:
            assert next_state(state, happening) in ENDED
