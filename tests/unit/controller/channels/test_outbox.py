"""Tests of the outbox: bounded, and in order."""

import asyncio
from typing import cast

from aiohttp import web

from latchstring.controller.channels.outbox import MAX_WAITING, Outbox
from latchstring.protocol.messages import Acknowledged, Goodbye, GoodbyeCode, encode_message

GOODBYE = Goodbye(code=GoodbyeCode.BUSY, retry_after_seconds=1)


class Socket:
    """A WebSocket that sends when it may."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.may_send = asyncio.Event()
        self.broken = False

    async def send_str(self, text: str) -> None:
        """Remember what is sent."""
        await self.may_send.wait()
        if self.broken:
            raise ConnectionResetError
        self.sent.append(text)


def make() -> tuple[Outbox, Socket]:
    """Return an outbox and its socket."""
    socket = Socket()
    return Outbox(cast("web.WebSocketResponse", socket)), socket


async def test_order_and_goodbye() -> None:
    """Messages go out in order, the goodbye last; nothing is taken after it."""
    outbox, socket = make()
    socket.may_send.set()
    assert outbox.put(Acknowledged(next_sequence=1))
    outbox.finish(GOODBYE)
    assert not outbox.put(Acknowledged(next_sequence=2))
    outbox.finish(GOODBYE)
    await asyncio.wait_for(outbox.run(), 5)
    assert socket.sent == [encode_message(Acknowledged(next_sequence=1)), encode_message(GOODBYE)]


async def test_slow_endpoint_is_given_up() -> None:
    """A full queue ends the channel, and nothing more is taken."""
    outbox, socket = make()
    running = asyncio.create_task(outbox.run())
    await asyncio.sleep(0)
    taken = 0
    while outbox.put(Acknowledged(next_sequence=taken)):
        taken += 1
    assert MAX_WAITING <= taken <= MAX_WAITING + 1
    assert not outbox.is_open
    await asyncio.wait_for(running, 5)
    await outbox.flush()
    assert socket.sent == []


async def test_broken_connection() -> None:
    """A connection that breaks ends the outbox quietly, and its farewell too."""
    outbox, socket = make()
    socket.broken = True
    socket.may_send.set()
    for number in range(3):
        outbox.put(Acknowledged(next_sequence=number))
    await asyncio.wait_for(outbox.run(), 5)
    await outbox.flush()
    assert not outbox.is_open
