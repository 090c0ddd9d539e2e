"""Waits between attempts: spread out, growing, bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.endpoint.backoff import FIRST_CEILING, LAST_CEILING, STABLE_SECONDS, Backoff

FRACTIONS = st.floats(min_value=0, max_value=1, exclude_max=True)


@given(st.lists(FRACTIONS, min_size=1, max_size=40))
def test_every_wait_is_below_its_ceiling(fractions: list[float]) -> None:
    """Whatever the random numbers, no wait is negative or reaches its ceiling, and no ceiling exceeds the last."""
    numbers = iter(fractions)
    backoff = Backoff(lambda: next(numbers))
    for _ in fractions:
        ceiling = backoff.ceiling
        assert 0 <= backoff.next_wait() <= ceiling <= LAST_CEILING
        assert backoff.ceiling == min(2 * ceiling, LAST_CEILING)


@given(FRACTIONS, st.floats(min_value=0, max_value=86_400))
def test_the_other_sides_wish_is_the_least(fraction: float, retry_after: float) -> None:
    """The other side's wish is kept, and the random part comes on top, so that a fleet does not come back at once."""
    assert retry_after <= Backoff(lambda: fraction).next_wait(retry_after=retry_after) <= retry_after + FIRST_CEILING


@pytest.mark.parametrize(("lasted", "factor"), [(STABLE_SECONDS - 1, 16), (STABLE_SECONDS, 1)])
def test_only_a_stable_connection_starts_over(lasted: float, factor: int) -> None:
    """A connection that lasted a minute resets the waits; one that broke before goes on growing them."""
    backoff = Backoff(lambda: 0.999)
    for _ in range(4):
        backoff.next_wait()
    assert backoff.next_wait(lasted=lasted) == pytest.approx(0.999 * factor * FIRST_CEILING)


def test_somebody_waits() -> None:
    """With a lower limit the wait is short, and the ceiling grows on beneath it."""
    backoff = Backoff(lambda: 0.5)
    for _ in range(20):
        assert backoff.next_wait(limit=2.0) <= 1.0
    assert backoff.ceiling == LAST_CEILING
