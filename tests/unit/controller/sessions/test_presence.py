"""Who is connected, and since when the others are gone."""

from controller_parts import FakeClock
from latchstring.controller.sessions.presence import Presence


def test_absence_counts_from_the_end_of_the_last_connection() -> None:
    """An endpoint is away from the end of its last connection on, and one never seen from the start on."""
    clock = FakeClock()
    presence = Presence(clock)
    clock.advance(5)
    first = presence.connected("a")
    clock.advance(5)
    assert (presence.absent_seconds("a"), presence.absent_seconds("b")) == (0, 10)
    second = presence.connected("a")
    assert not presence.disconnected("a", first)
    assert presence.absent_seconds("a") == 0
    assert presence.disconnected("a", second)
    assert not presence.disconnected("a", second)
    clock.advance(3)
    assert presence.absent_seconds("a") == 3
