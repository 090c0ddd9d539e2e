"""How many channels and connections sessions may open."""

import logging

import pytest

from endpoint_parts import FakeClock
from latchstring.endpoint.channel_budget import (
    MACHINE_BURST,
    MACHINE_RATE,
    SESSION_BURST,
    SESSION_RATE,
    MachineBudget,
)


def taken(budget: object, tries: int) -> int:
    """Return how many of these tries succeed."""
    return sum(budget.take() for _ in range(tries))  # type: ignore[attr-defined]  # a budget of a session


def test_a_session_has_a_burst_and_then_a_rate(caplog: pytest.LogCaptureFixture) -> None:
    """Beyond its burst a session opens what its rate allows, and that is said once a minute."""
    clock = FakeClock()
    budget = MachineBudget(clock).for_session("ses-a")
    with caplog.at_level(logging.WARNING):
        assert taken(budget, int(SESSION_BURST) + 100) == SESSION_BURST
        assert len(caplog.messages) == 1
        clock.elapsed += 59
        assert taken(budget, 200) == int(59 * SESSION_RATE)
        clock.elapsed += 2
        assert taken(budget, 50) == int(2 * SESSION_RATE)
    assert len(caplog.messages) == 2
    assert all("ses-a" in message for message in caplog.messages)


def test_sessions_share_what_the_machine_has() -> None:
    """All sessions together stay within the machine's burst; one that is at its own end takes nothing from it."""
    clock = FakeClock()
    machine = MachineBudget(clock)
    first, second, third = (machine.for_session(f"ses-{letter}") for letter in "abc")
    assert taken(first, 5 * int(SESSION_BURST)) == SESSION_BURST
    assert taken(second, int(SESSION_BURST)) == SESSION_BURST
    assert taken(third, 10) == MACHINE_BURST - 2 * SESSION_BURST
    clock.elapsed += 10
    assert taken(third, 100) == 10 * MACHINE_RATE


def test_the_controller_keeps_up() -> None:
    """What is allowed for good, two statements for each channel, is less than the controller takes: five a second."""
    assert 2 * MACHINE_RATE < 5
    assert 2 * MACHINE_BURST < 5000
