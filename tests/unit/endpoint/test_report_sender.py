"""Reports: in order, from the first that the controller lacks, a window at a time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from endpoint_parts import House, make_house
from latchstring.endpoint.report_sender import WINDOW, ReportSender
from latchstring.protocol.events import AgentStopped
from latchstring.protocol.messages import Report
from latchstring.protocol.statements import verify_statement


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A journal with more statements than a window holds."""
    async with make_house(tmp_path) as house:
        await asyncio.gather(*(house.journal.append(AgentStopped()) for _ in range(WINDOW + 20)))
        yield house


async def test_sends_a_window_then_waits(house: House) -> None:
    """No more are on their way than the window holds; each acknowledgement makes room; nothing repeats."""
    sent: asyncio.Queue[Report] = asyncio.Queue()
    sender = ReportSender(house.journal, sent.put, 10)
    task = asyncio.create_task(sender.run())
    reports = [await sent.get() for _ in range(WINDOW)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert sent.empty()
    await sender.acknowledge(30)
    reports += [await sent.get() for _ in range(10)]
    assert house.journal.acknowledged == 30
    await house.journal.append(AgentStopped())
    reports.append(await sent.get())
    task.cancel()
    key = house.signer.public_key
    sequences = [
        verify_statement(report.signed, endpoint_id="ept-" + "a" * 16, journal_key=key).statement.sequence  # type: ignore[arg-type]  # an Ed25519 key
        for report in reports
    ]
    assert sequences == list(range(10, WINDOW + 21))


@pytest.mark.parametrize("next_sequence", [9, 11])
async def test_impossible_acknowledgements(house: House, next_sequence: int) -> None:
    """A controller cannot have what was not sent, nor lose what it had."""

    async def send(_: Report) -> None:
        raise AssertionError("nothing is to be sent")

    with pytest.raises(ValueError, match="cannot have"):
        await ReportSender(house.journal, send, 10).acknowledge(next_sequence)
