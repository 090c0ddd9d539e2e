"""The socket to a sandbox's init, seen from the agent."""

import asyncio
import os
import socket
from typing import NoReturn

import pytest

from latchstring.endpoint.sandbox.control import Control, control_pair
from latchstring.endpoint.sandbox.errors import SandboxDeadError, SpawnError
from latchstring.endpoint.sandbox.init import MAX_MESSAGE_BYTES


class Side:
    """The agent's side, with what it was told."""

    def __init__(self) -> None:
        ours, self.theirs = control_pair()
        self.replies: asyncio.Queue[list[bytes]] = asyncio.Queue()
        self.lost = asyncio.Event()
        self.control = Control(ours, on_reply=self.take, on_lost=self.lost.set)

    def take(self, fields: list[bytes], descriptors: list[int]) -> None:
        """Keep a reply, and close what came with it."""
        self.replies.put_nowait(fields)
        for descriptor in descriptors:
            os.close(descriptor)

    async def receive(self) -> tuple[bytes, list[int]]:
        """Receive one request as init does."""
        loop = asyncio.get_running_loop()
        self.theirs.setblocking(False)
        readable = asyncio.Event()
        loop.add_reader(self.theirs, readable.set)
        async with asyncio.timeout(5):
            await readable.wait()
        loop.remove_reader(self.theirs)
        message, descriptors, _, _ = socket.recv_fds(self.theirs, MAX_MESSAGE_BYTES, 4)
        return message, descriptors

    def close(self) -> None:
        """Close both ends."""
        self.control.close()
        self.theirs.close()


async def test_the_kernel_vouches_for_the_sender() -> None:
    """A reply arrives in its fields, with the pid that sent it."""
    side = Side()
    side.theirs.sendmsg([b"started\x001\x0042"])
    assert await asyncio.wait_for(side.replies.get(), 5) == [b"started", b"1", b"42"]
    assert side.control.peer_pid == os.getpid()
    side.close()


async def test_requests_wait_when_the_socket_is_full() -> None:
    """What does not fit now, descriptors included, is sent in order when there is room; too many are refused."""
    side = Side()
    descriptor = os.open(os.devnull, os.O_RDONLY)
    accepted = 0

    def fill() -> NoReturn:
        nonlocal accepted
        while True:
            side.control.request([b"spawn", b"%d" % accepted, b"x" * 50_000], (descriptor,))
            accepted += 1

    with pytest.raises(SpawnError, match="keep up"):
        fill()
    os.close(descriptor)
    for number in range(accepted):
        message, descriptors = await side.receive()
        assert message.split(b"\0")[1] == b"%d" % number
        os.close(descriptors[0])
    side.close()


@pytest.mark.parametrize("word", [b"a\0b", b"x" * MAX_MESSAGE_BYTES], ids=["NUL", "too long"])
async def test_what_cannot_be_said_is_refused(word: bytes) -> None:
    """A NUL would shift the fields, and a message has a limit."""
    side = Side()
    with pytest.raises(SpawnError):
        side.control.request([b"spawn", word])
    side.close()


async def test_the_end_of_the_other_side_is_told_once() -> None:
    """When init is gone the agent is told, and further requests fail as to a dead sandbox."""
    side = Side()
    side.theirs.close()
    await asyncio.wait_for(side.lost.wait(), 5)
    with pytest.raises(SandboxDeadError):
        side.control.request([b"signal", b"1", b"15"])
    side.close()
