"""The relay's limits fit the process."""

import pytest

from latchstring.controller.relay.limits import RelayLimits


@pytest.mark.parametrize("descriptors", [64, 256, 1024, 20_000, 1_000_000])
def test_limits_leave_a_quarter_of_the_descriptors(descriptors: int) -> None:
    """With every pair stalled and the lobby full, a quarter is left for the rest of the process."""
    limits = RelayLimits.within(descriptors)
    assert limits.pairs * 6 + limits.unpaired <= descriptors * 3 // 4
    assert limits.pairs >= 1
    assert limits.unpaired >= 2
