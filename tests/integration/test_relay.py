"""The relay on real sockets: what it carries, how it holds back, and how it is cut."""

import asyncio
import fcntl
import hashlib
import os
import socket
import struct
import termios

import pytest

from latchstring.controller.relay import PairEnding, RelayBusyError, RelayLimits
from latchstring.protocol.dial import Role, Status
from relay_parties import (
    OTHER_SESSION,
    SESSION,
    RelayUnderTest,
    assert_works,
    eventually,
    on_both_loops,
    open_descriptors,
    open_pipe_ends,
    receive,
    receive_exactly,
    running_relay,
    send,
    status,
    with_relay,
)

BULK_BYTES = 200 * 1000 * 1000
PIECE = os.urandom(1024 * 1024)
STALL_SECONDS = 0.3


def send_bulk(connection: socket.socket, mark: bytes) -> str:
    """Send, and return the digest of what was sent. For a thread of its own."""
    digest = hashlib.blake2b()
    connection.settimeout(60)
    for number in range(BULK_BYTES // len(PIECE)):
        piece = mark + number.to_bytes(8) + PIECE
        connection.sendall(piece)
        digest.update(piece)
    connection.shutdown(socket.SHUT_WR)
    return digest.hexdigest()


def receive_bulk(connection: socket.socket) -> tuple[str, int]:
    """Receive until the end, and return the digest and the length. For a thread of its own."""
    digest, count = hashlib.blake2b(), 0
    connection.settimeout(60)
    while received := connection.recv(256 * 1024):
        digest.update(received)
        count += len(received)
    return digest.hexdigest(), count


@with_relay
async def test_bulk_both_ways(relay: RelayUnderTest) -> None:
    """200 MB in each direction at the same time arrive unaltered, and are counted to the byte."""
    engineer, endpoint = await relay.pair()
    sent_by_engineer, sent_by_endpoint, at_endpoint, at_engineer = await asyncio.gather(
        asyncio.to_thread(send_bulk, engineer, b"engineer"),
        asyncio.to_thread(send_bulk, endpoint, b"endpoint"),
        asyncio.to_thread(receive_bulk, endpoint),
        asyncio.to_thread(receive_bulk, engineer),
    )
    assert at_endpoint[0] == sent_by_engineer
    assert at_engineer[0] == sent_by_endpoint
    session_id, _, from_engineer, from_endpoint = await relay.closings.next()
    assert (session_id, from_engineer, from_endpoint) == (SESSION, at_endpoint[1], at_engineer[1])
    assert relay.relay.counters.closed == {PairEnding.FINISHED: 1}


@with_relay
async def test_half_close_is_kept(relay: RelayUnderTest) -> None:
    """One side ends its stream after its last byte, and still receives all of the other's."""
    engineer, endpoint = await relay.pair()
    await send(engineer, b"the last byte")
    engineer.shutdown(socket.SHUT_WR)
    assert await receive_exactly(endpoint, 13) == b"the last byte"
    assert await receive(endpoint, 1) == b""
    await send(endpoint, b"an answer after the end")
    assert await receive_exactly(engineer, 23) == b"an answer after the end"
    assert relay.closings.seen == []
    endpoint.close()
    assert await receive(engineer, 1) == b""
    assert (await relay.closings.next())[2:] == (13, 23)


async def send_until_stalled(connection: socket.socket) -> int:
    """Send until no more is taken; return how many bytes were."""
    loop, sent = asyncio.get_running_loop(), 0
    while True:
        writable = asyncio.Event()
        loop.add_writer(connection, writable.set)
        try:
            await asyncio.wait_for(writable.wait(), STALL_SECONDS)
        except TimeoutError:
            return sent
        finally:
            loop.remove_writer(connection)
        sent += connection.send(bytes(64 * 1024))


@with_relay
async def test_back_pressure_is_kept(relay: RelayUnderTest) -> None:
    """A reader that stops reading stops the writer after a bounded amount, and nothing is lost when it goes on."""
    engineer, endpoint = await relay.pair()
    sent = await send_until_stalled(engineer)
    assert sent < 64 * 1024 * 1024
    await assert_works(await relay.pair(OTHER_SESSION))
    reading = asyncio.create_task(receive_exactly(endpoint, sent))
    assert not any(await reading)
    await assert_works((engineer, endpoint))


@with_relay
async def test_stalled_direction_leaves_the_other_alone(relay: RelayUnderTest) -> None:
    """While one direction is stalled, the other carries bytes."""
    engineer, endpoint = await relay.pair()
    await send_until_stalled(engineer)
    await send(endpoint, b"the other way")
    assert await receive_exactly(engineer, 13) == b"the other way"


@with_relay
async def test_idle_pair_holds_no_pipe(relay: RelayUnderTest) -> None:
    """Pairs that carry nothing hold no pipe; pairs that carried something one after another shared one."""
    before = open_pipe_ends()
    pairs = [await relay.pair() for _ in range(20)]
    assert open_pipe_ends() == before
    for pair in pairs:
        await assert_works(pair)
    assert open_pipe_ends() - before <= 2 * 2


@with_relay
async def test_early_bytes_wait_for_the_other_side(relay: RelayUnderTest) -> None:
    """What a party sends right behind its preamble is not read by the relay, and reaches the other side whole."""
    dial = relay.relay.issue(SESSION)
    endpoint = await relay.present(dial, Role.ENDPOINT)
    await send(endpoint, b"SSH-2.0-early\r\n")
    engineer = await relay.present(dial, Role.ENGINEER)
    assert await status(engineer) is Status.PAIRED
    assert await receive_exactly(engineer, 15) == b"SSH-2.0-early\r\n"


def unread_bytes(connection: socket.socket) -> int:
    """Return how many bytes the kernel has for the reader of this connection."""
    (count,) = struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))
    return int(count)


async def receive_until_reset(connection: socket.socket) -> int:
    """Receive until the connection is reset, and return how many bytes came; an orderly end is a failure."""
    received = 0
    try:
        while piece := await receive(connection, 1024 * 1024):
            received += len(piece)
    except ConnectionResetError:
        return received
    pytest.fail("the connection ended in order")


@with_relay
async def test_cut_is_immediate(relay: RelayUnderTest) -> None:
    """When ``cut`` returns, not a byte more is delivered, though the relay held plenty for both sides."""
    engineer, endpoint = await relay.pair()
    await send_until_stalled(engineer)
    await send_until_stalled(endpoint)
    relay.relay.cut(SESSION)
    for connection in (engineer, endpoint):
        delivered = unread_bytes(connection)
        assert await receive_until_reset(connection) <= delivered
    assert (await relay.closings.next())[0] == SESSION
    assert relay.relay.counters.closed == {PairEnding.CUT: 1}


@with_relay
async def test_cut_takes_every_connection_of_the_session_and_no_other(relay: RelayUnderTest) -> None:
    """All pairs, waiting sides and tickets of the session go; another session does not notice."""
    for _ in range(3):
        await relay.pair()
    other = await relay.pair(OTHER_SESSION)
    waiting_dial, unused_dial = relay.relay.issue(SESSION), relay.relay.issue(SESSION)
    waiting = await relay.present(waiting_dial, Role.ENGINEER)
    await eventually(lambda: relay.relay.counters.unpaired == 1)
    relay.relay.cut(SESSION)
    relay.relay.cut(SESSION)
    assert relay.relay.counters.pairs == 1
    assert await status(waiting) in {Status.REFUSED, Status.OTHER_SIDE_LEFT}
    for dial, role in ((waiting_dial, Role.ENDPOINT), (unused_dial, Role.ENGINEER)):
        assert await status(await relay.present(dial, role)) is Status.REFUSED
    await assert_works(other)


@on_both_loops
async def test_closing_gives_everything_back() -> None:
    """After ``close`` no descriptor is left, the observer was told of every pair, and nobody can connect."""
    before = open_descriptors()
    async with running_relay() as relay:
        for _ in range(3):
            await relay.pair()
        await relay.connect()
        await eventually(lambda: relay.relay.counters.unpaired == 1)
        await relay.relay.close()
        assert len(relay.closings.seen) == 3
        assert relay.relay.counters.pairs == 0
        with pytest.raises(ConnectionRefusedError):
            await relay.connect()
    assert open_descriptors() == before


@on_both_loops
async def test_session_has_its_share() -> None:
    """Open connections count towards a session's share, and closing one frees its place."""
    async with running_relay(RelayLimits(pairs_per_session=2)) as relay:
        first = await relay.pair()
        await relay.pair()
        with pytest.raises(RelayBusyError):
            relay.relay.issue(SESSION)
        first[0].close()
        first[1].close()
        await relay.closings.next()
        await assert_works(await relay.pair())


@with_relay
async def test_live_bytes_are_counted(relay: RelayUnderTest) -> None:
    """The counters include the bytes of pairs that are still open."""
    engineer, endpoint = await relay.pair()
    await send(engineer, b"12345")
    assert await receive_exactly(endpoint, 5) == b"12345"
    counters = relay.relay.counters
    assert (counters.bytes_from_engineer, counters.bytes_from_endpoint, counters.pairs) == (5, 0, 1)
    engineer.close()
    endpoint.close()
