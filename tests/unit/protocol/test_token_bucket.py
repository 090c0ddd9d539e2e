"""Tests of the token bucket."""

from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.token_bucket import TokenBucket


@given(st.lists(st.floats(0, 3), max_size=60))
def test_never_more_than_rate_and_burst(pauses: list[float]) -> None:
    """Over any time no more is given than the burst and the rate allow."""
    now, given_out, bucket = 5.0, 0, TokenBucket(rate=2.0, burst=4.0, now=5.0)
    for pause in pauses:
        now += pause
        given_out += bucket.take(now)
    assert given_out <= 4.0 + 2.0 * (now - 5.0) + 1e-6


def test_borrow() -> None:
    """Beyond the burst, a borrower waits in proportion to what was borrowed."""
    bucket = TokenBucket(rate=10.0, burst=2.0, now=0.0)
    assert [round(bucket.borrow(0.0), 3) for _ in range(4)] == [0.0, 0.0, 0.1, 0.2]
    assert bucket.borrow(10.0) == 0.0


def test_clock_that_stands() -> None:
    """A clock that does not move, or seems to go back, gives nothing."""
    bucket = TokenBucket(rate=1.0, burst=1.0, now=10.0)
    assert bucket.take(10.0)
    assert not bucket.take(5.0)
    assert not bucket.take(10.0)
