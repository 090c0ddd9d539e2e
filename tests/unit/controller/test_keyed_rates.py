"""The rates of single endpoints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.controller.keyed_rates import KeyedRates


def test_each_endpoint_has_its_own() -> None:
    """One that used its burst up gets the rate; another has its burst still."""
    rates = KeyedRates(rate=0.2, burst=2.0)
    assert [rates.take("a", 0.0) for _ in range(3)] == [True, True, False]
    assert rates.take("b", 0.0)
    assert [rates.take("a", 5.0), rates.take("a", 5.0)] == [True, False]


def test_debt_is_kept() -> None:
    """Who borrowed waits longer each time, and an endpoint in debt is not forgotten before it is full again."""
    rates = KeyedRates(rate=5.0, burst=10.0)
    waits = [rates.borrow("a", 0.0) for _ in range(20)]
    assert waits == pytest.approx([0.0] * 10 + [number / 5 for number in range(1, 11)])
    rates.take("b", 3.9)
    assert len(rates) == 2
    rates.take("b", 4.0)
    assert len(rates) == 1


@given(st.lists(st.tuples(st.integers(0, 60), st.floats(0, 3)), max_size=200))
def test_memory_is_bounded(uses: list[tuple[int, float]]) -> None:
    """However many endpoints there are, only so many are remembered, and none that is full again for long."""
    rates, now = KeyedRates(rate=1.0, burst=5.0, max_keys=20), 0.0
    for endpoint, passed in uses:
        now += passed
        rates.take(str(endpoint), now)
        assert len(rates) <= 20
    rates.take("last", now + 5.0)
    assert len(rates) == 1
