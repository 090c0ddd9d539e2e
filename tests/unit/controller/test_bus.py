"""The bus within one process: nobody who waits misses a change."""

import asyncio

from latchstring.controller.bus import LocalBus


async def test_change_before_the_wait_is_not_missed() -> None:
    """A change between subscribing and waiting ends the wait at once, and only once."""
    bus = LocalBus()
    with bus.subscribe("a") as changes:
        bus.publish("a")
        bus.publish("b")
        assert await changes.wait(60)
        assert not await changes.wait(0.01)


async def test_everybody_who_waits_is_woken() -> None:
    """All subscriptions of a session wake, and those of others do not."""
    bus = LocalBus()
    with bus.subscribe("a") as first, bus.subscribe("a") as second, bus.subscribe("b") as other:
        waits = [asyncio.create_task(subscription.wait(60)) for subscription in (first, second)]
        bus.publish("a")
        assert await asyncio.gather(*waits) == [True, True]
        assert not await other.wait(0)


async def test_nothing_is_kept_of_subscriptions_that_ended() -> None:
    """A session that nobody waits for any more takes no memory, and publishing to it is harmless."""
    bus = LocalBus()
    with bus.subscribe("a"), bus.subscribe("a"):
        pass
    bus.publish("a")
    assert bus._subscriptions == {}
