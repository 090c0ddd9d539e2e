"""Sends the journal's statements to the controller: in order, from the first that it does not have, a few at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from latchstring.endpoint.journal.journal import Journal
from latchstring.protocol.messages import Report

WINDOW: Final = 128
"""How many reports may be on their way without an acknowledgement."""


class ReportSender:
    """The reports of one connection.

    Args:
        journal: where the statements are.
        send: sends one message.
        acknowledged: the first sequence that the controller does not have.
    """

    def __init__(self, journal: Journal, send: Callable[[Report], Awaitable[None]], acknowledged: int) -> None:
        self._journal = journal
        self._send = send
        self._acknowledged = acknowledged
        self._next = acknowledged
        self._room = asyncio.Event()
        self._room.set()

    async def acknowledge(self, next_sequence: int) -> None:
        """Take note that the controller has every statement before ``next_sequence``.

        Raises:
            ValueError: it cannot have what was not sent, or lose what it had.
        """
        if not self._acknowledged <= next_sequence <= self._next:
            raise ValueError("the controller acknowledges what it cannot have")
        self._acknowledged = next_sequence
        self._room.set()
        await self._journal.acknowledge(next_sequence)

    async def run(self) -> None:
        """Send what there is, and what comes, until cancelled."""
        while True:
            await self._journal.wait_longer_than(self._next)
            room = WINDOW - (self._next - self._acknowledged)
            if room <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            for signed in await self._journal.read(self._next, room):
                await self._send(Report(signed=signed))
                self._next += 1
