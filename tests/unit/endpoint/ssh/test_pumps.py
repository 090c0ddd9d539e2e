"""The pumps, on real pipes and sockets."""

import asyncio
import os
import socket

import pytest

from latchstring.endpoint.ssh.pumps import Hold, InputPump, OutputPump, wide_pipe


async def test_output_is_moved_until_the_end() -> None:
    """All bytes are delivered in order and counted, then the pump ends and has closed its descriptor."""
    reading, writing = wide_pipe()
    delivered: list[bytes] = []
    pump = OutputPump(reading, delivered.append)
    os.write(writing, b"one")
    os.write(writing, b"two")
    os.close(writing)
    await asyncio.wait_for(pump.ended.wait(), 5)
    assert (b"".join(delivered), pump.count) == (b"onetwo", 6)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)


async def test_output_is_held_as_long_as_there_is_any_reason() -> None:
    """Two reasons to hold need two releases, in any order and however often repeated."""
    reading, writing = wide_pipe()
    delivered: list[bytes] = []
    pump = OutputPump(reading, delivered.append)
    pump.hold(Hold.CHANNEL)
    pump.hold(Hold.CONNECTION)
    pump.hold(Hold.CHANNEL)
    os.write(writing, b"held")
    os.close(writing)
    pump.release(Hold.CHANNEL)
    pump.release(Hold.CHANNEL)
    for _ in range(5):
        await asyncio.sleep(0)
    assert delivered == []
    pump.release(Hold.CONNECTION)
    await asyncio.wait_for(pump.ended.wait(), 5)
    assert delivered == [b"held"]


async def test_a_stopped_output_pump_stays_stopped() -> None:
    """After ``stop`` nothing is delivered, and hold, release and a second stop do nothing."""
    reading, writing = wide_pipe()
    pump = OutputPump(reading, lambda _: pytest.fail("delivered after the end"))
    pump.stop()
    pump.hold(Hold.CHANNEL)
    pump.release(Hold.CHANNEL)
    pump.stop()
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"x")
    os.close(writing)


class Flow:
    """Counts how often an input pump was full and drained."""

    def __init__(self) -> None:
        self.is_full = False
        self.drained = asyncio.Event()
        self.pump = InputPump(on_full=self._full, on_drained=self._drained)

    def _full(self) -> None:
        self.is_full = True
        self.drained.clear()

    def _drained(self) -> None:
        self.is_full = False
        self.drained.set()


async def test_input_waits_for_its_descriptor() -> None:
    """What comes before ``open`` is kept, holds the channel back, and is written first."""
    flow = Flow()
    flow.pump.feed(b"early ")
    assert flow.is_full
    flow.pump.feed(b"bird")
    flow.pump.finish()
    reading, writing = wide_pipe()
    flow.pump.open(writing)
    assert flow.pump.ended.is_set()
    assert os.read(reading, 100) == b"early bird"
    assert os.read(reading, 100) == b""
    os.close(reading)


async def test_a_full_descriptor_holds_the_channel_back() -> None:
    """When the reader is slow the pump says that it is full, and goes on when there is room."""
    flow = Flow()
    reading, writing = os.pipe()
    flow.pump.open(writing)
    data = os.urandom(1 << 20)
    flow.pump.feed(data)
    assert flow.is_full
    flow.pump.finish()
    received = bytearray()
    output = OutputPump(reading, received.extend)
    await asyncio.wait_for(output.ended.wait(), 5)
    assert bytes(received) == data
    assert flow.pump.count == len(data)


async def test_input_that_nobody_reads_is_thrown_away() -> None:
    """Once the reader is gone the pump ends, without an error, and takes what still comes."""
    flow = Flow()
    reading, writing = wide_pipe()
    flow.pump.open(writing)
    os.close(reading)
    flow.pump.feed(b"nobody")
    assert flow.pump.ended.is_set()
    flow.pump.feed(b"cares")
    flow.pump.finish()
    flow.pump.stop()
    assert not flow.is_full
    assert flow.pump.count == 0


async def test_input_can_end_before_it_is_opened() -> None:
    """A pump that was stopped closes the descriptor that comes too late."""
    flow = Flow()
    flow.pump.stop()
    reading, writing = wide_pipe()
    flow.pump.open(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)


async def test_the_last_byte_comes_before_the_half_close() -> None:
    """With a socket, ``finish`` is called after the last byte, however full the socket was."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    flow = Flow()

    def half_close(descriptor: int) -> None:
        with socket.socket(fileno=descriptor) as side:
            side.shutdown(socket.SHUT_WR)

    flow.pump.open(os.dup(ours.fileno()), finish=half_close)
    data = os.urandom(3_000_000)
    flow.pump.feed(data)
    flow.pump.finish()
    received = bytearray()
    loop = asyncio.get_running_loop()
    while piece := await asyncio.wait_for(loop.sock_recv(theirs, 1 << 16), 5):
        received += piece
    assert bytes(received) == data
    ours.close()
    theirs.close()
