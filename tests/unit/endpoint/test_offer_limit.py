"""Offers are counted for as long as the agent runs."""

import logging

import pytest

from endpoint_parts import FakeClock
from latchstring.endpoint.offer_limit import OfferLimit
from latchstring.protocol.offer_rate import OFFER_BURST


def test_a_burst_and_then_one_per_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    """So many offers at once are admitted, then one each ten seconds, and drops are told once a minute."""
    clock, burst = FakeClock(), int(OFFER_BURST)
    limit = OfferLimit(clock)
    with caplog.at_level(logging.WARNING):
        assert [limit.admit() for _ in range(burst + 10)] == [True] * burst + [False] * 10
        assert len(caplog.messages) == 1
        for _ in range(6):
            clock.elapsed += 10
            assert [limit.admit(), limit.admit()] == [True, False]
    assert len(caplog.messages) == 2
    assert "15 dropped" in caplog.messages[1]
