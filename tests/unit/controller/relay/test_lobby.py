"""The lobby: who is counted as one source, and who makes room."""

from typing import cast

import pytest

from latchstring.controller.relay.arrival import Arrival
from latchstring.controller.relay.limits import RelayLimits
from latchstring.controller.relay.lobby import Lobby, source_of


class Silent:
    """As much of an arrival as the lobby looks at."""

    def __init__(self, source: str) -> None:
        self.source = source


def enter(lobby: Lobby, *sources: str) -> list[Arrival]:
    """Let one connection from each source enter."""
    arrivals = [cast("Arrival", Silent(source)) for source in sources]
    for arrival in arrivals:
        lobby.enter(arrival)
    return arrivals


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_source_of(address: str, source: str) -> None:
    """One machine is one source, also when it has a whole IPv6 network, or IPv4 written as IPv6."""
    assert source_of(address) == source


def test_longest_silent_of_all_and_of_a_source() -> None:
    """The first to come is the first to go, among all or among its own source; one that has spoken is not asked."""
    lobby = Lobby(RelayLimits(unpaired=3, unpaired_per_source=2))
    first, second, third = enter(lobby, "a", "b", "b")
    assert lobby.is_full()
    assert lobby.is_full_for("b")
    assert not lobby.is_full_for("a")
    assert lobby.longest_silent() is first
    assert lobby.longest_silent("b") is second
    lobby.has_spoken(first)
    lobby.has_spoken(second)
    assert lobby.longest_silent() is third
    assert lobby.longest_silent("a") is None


def test_leaving_frees_every_count() -> None:
    """Nothing is left of a connection that has gone, whether it had spoken or not."""
    lobby = Lobby(RelayLimits(unpaired=2, unpaired_per_source=2))
    spoken, silent = enter(lobby, "a", "a")
    lobby.has_spoken(spoken)
    lobby.leave(spoken)
    lobby.leave(silent)
    assert len(lobby) == 0
    assert not lobby.is_full_for("a")
    assert lobby.longest_silent() is None
