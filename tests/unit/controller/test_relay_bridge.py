"""Tests of what stands between the services and the relay, and of work that repeats."""

import asyncio
import logging
import os

import pytest

from eventually import eventually
from latchstring.controller import relay_bridge
from latchstring.controller.background import repeat
from latchstring.controller.errors import RelayBusyError, StoreUnavailableError
from latchstring.controller.relay.limits import RelayLimits
from latchstring.controller.relay.server import Relay
from latchstring.controller.relay_bridge import RelayBridge, RelayedConnections
from tls_identities import number_id


class Records:
    """Records what it is given, unless told to fail first."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.recorded: list[tuple[str, int, int]] = []

    async def __call__(self, session_id: str, bytes_from_engineer: int, bytes_from_endpoint: int) -> None:
        """Record one connection's end."""
        if self.failures:
            raise self.failures.pop(0)
        self.recorded.append((session_id, bytes_from_engineer, bytes_from_endpoint))


async def test_busy_relay() -> None:
    """A relay that expects too many dials says so in the services' words; cutting makes room."""
    limits = RelayLimits(pairs=1)
    bridge = RelayBridge(Relay(clock=lambda: 0.0, random=os.urandom, observer=RelayedConnections(), limits=limits))
    session_id = number_id("ses")
    assert len(bridge.issue(session_id).engineer_secret) == 32
    with pytest.raises(RelayBusyError):
        bridge.issue(session_id)
    bridge.cut(session_id)
    bridge.issue(session_id)


async def test_ends_are_recorded_in_order_until_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be logged now is logged later, and what is there when the controller stops is logged still."""
    monkeypatch.setattr(relay_bridge, "_RETRY_SECONDS", 0.01)
    relayed, records = RelayedConnections(), Records(StoreUnavailableError(), StoreUnavailableError())
    for number in range(3):
        relayed.connection_closed(f"session {number}", "dial", number, 10 * number)
    relayed.finish()
    await asyncio.wait_for(relayed.run(records), 5)
    assert records.recorded == [(f"session {number}", number, 10 * number) for number in range(3)]


async def test_one_failure_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """An entry that fails for a reason of our own is told of, and the next is recorded."""
    relayed, records = RelayedConnections(), Records(RuntimeError("our mistake"))
    relayed.connection_closed("one", "dial", 1, 1)
    relayed.connection_closed("two", "dial", 2, 2)
    relayed.finish()
    await asyncio.wait_for(relayed.run(records), 5)
    assert records.recorded == [("two", 2, 2)]
    assert "our mistake" in caplog.text


async def test_repeat_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """Work that repeats goes on after a turn that failed, whatever the reason."""
    caplog.set_level(logging.INFO)
    failures: list[Exception] = [StoreUnavailableError(), RuntimeError("our mistake")]
    turns = 0

    async def work() -> None:
        nonlocal turns
        turns += 1
        if failures:
            raise failures.pop(0)

    task = asyncio.create_task(repeat("a sweep", 0.001, work))
    await eventually(lambda: turns > 3, "turns after the failures")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
