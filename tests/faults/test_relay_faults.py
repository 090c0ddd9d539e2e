"""A table of what strangers and broken networks do to the relay, and a check of the whole relay after each."""

import asyncio
import contextlib
import functools
import logging
import os
import resource
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from latchstring.controller.relay import Dial, PairEnding, Refusal, RelayCounters, RelayLimits
from latchstring.protocol.dial import PREAMBLE_BYTES, Role, Status, encode_preamble
from relay_parties import (
    OTHER_SESSION,
    SESSION,
    RelayUnderTest,
    assert_works,
    eventually,
    on_both_loops,
    open_descriptors,
    preamble_of,
    receive,
    receive_exactly,
    running_relay,
    send,
    status,
)

IMPATIENT = RelayLimits(answer_seconds=0.3)
GOOD_SESSION = "ses-" + "g" * 16
MAGIC = b"LATCHRL\x01"


def reset(connection: socket.socket) -> None:
    """Close so that the peer gets a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


async def assert_refused(connection: socket.socket, expected: Status = Status.REFUSED) -> None:
    """Check that the relay answers with this status and closes."""
    assert await status(connection) is expected
    with contextlib.suppress(ConnectionResetError):
        assert await receive(connection, 1) == b""


# Each fault is a coroutine function with the relay, and what the relay must have counted.


async def http(relay: RelayUnderTest) -> None:
    """Somebody takes it for a web server."""
    await assert_refused(await relay.say(b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n"))


async def tls(relay: RelayUnderTest) -> None:
    """Somebody begins TLS."""
    await assert_refused(await relay.say(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500)))


async def garbage_of_the_right_length(relay: RelayUnderTest) -> None:
    """Random bytes behind the true beginning."""
    await assert_refused(await relay.say(MAGIC + os.urandom(PREAMBLE_BYTES - len(MAGIC))))


async def oversize(relay: RelayUnderTest) -> None:
    """Much more than a preamble, none of it true; it is closed long before all was sent."""
    connection = await relay.connect()
    with contextlib.suppress(ConnectionError):
        await send(connection, MAGIC + os.urandom(32 * 1024 * 1024))


async def silent(relay: RelayUnderTest) -> None:
    """A connection that says nothing."""
    await assert_refused(await relay.connect(), Status.TIMED_OUT)


async def half_a_preamble(relay: RelayUnderTest) -> None:
    """A preamble that stops in the middle."""
    preamble = preamble_of(relay.relay.issue(SESSION), Role.ENGINEER)
    await assert_refused(await relay.say(preamble[:40]), Status.TIMED_OUT)


async def half_a_preamble_and_gone(relay: RelayUnderTest) -> None:
    """A preamble that stops in the middle, and its sender with it."""
    preamble = preamble_of(relay.relay.issue(SESSION), Role.ENGINEER)
    (await relay.say(preamble[:40])).close()
    reset(await relay.say(preamble[:40]))
    await eventually(lambda: relay.relay.counters.left == 2)


async def gone_at_once(relay: RelayUnderTest) -> None:
    """A port scanner."""
    for _ in range(50):
        reset(await relay.connect())
    await eventually(lambda: relay.relay.counters.left == 50)


async def nobody_comes(relay: RelayUnderTest) -> None:
    """A true ticket, but the other side stays away; later its ticket is void."""
    dial = relay.relay.issue(SESSION)
    await assert_refused(await relay.present(dial, Role.ENGINEER), Status.TIMED_OUT)
    await assert_refused(await relay.present(dial, Role.ENDPOINT))


def has_left(relay: RelayUnderTest, count: int) -> bool:
    """Whether this many connections have left before they were paired."""
    return relay.relay.counters.left == count


async def left_before_the_other_came(relay: RelayUnderTest) -> None:
    """One side goes while it waits, in order or not; the other is told at once."""
    for number, leave in enumerate((socket.socket.close, reset), 1):
        dial = relay.relay.issue(SESSION)
        waiting = await relay.present(dial, Role.ENGINEER)
        leave(waiting)
        await eventually(functools.partial(has_left, relay, number))
        await assert_refused(await relay.present(dial, Role.ENDPOINT))


async def replay_while_waiting(relay: RelayUnderTest) -> None:
    """A preamble seen on the wire is sent again before the dial is complete; the true parties still meet."""
    dial = relay.relay.issue(SESSION)
    engineer = await relay.present(dial, Role.ENGINEER)
    await eventually(lambda: relay.relay.counters.unpaired == 1)
    await assert_refused(await relay.present(dial, Role.ENGINEER))
    endpoint = await relay.present(dial, Role.ENDPOINT)
    assert await status(engineer) is await status(endpoint) is Status.PAIRED
    await assert_works((engineer, endpoint))


async def replay_after_pairing(relay: RelayUnderTest) -> None:
    """Both preambles are sent again, in the other order, while the pair is open: they meet nobody."""
    dial = relay.relay.issue(SESSION)
    pair = [await relay.present(dial, role) for role in Role]
    assert [await status(each) for each in pair] == [Status.PAIRED, Status.PAIRED]
    for role in (Role.ENDPOINT, Role.ENGINEER):
        await assert_refused(await relay.present(dial, role))


async def wrong_role(relay: RelayUnderTest) -> None:
    """The engineer's secret is used for the endpoint's side."""
    dial = relay.relay.issue(SESSION)
    preamble = encode_preamble(
        role=Role.ENDPOINT, dial_id=dial.dial_id, session_id=SESSION, secret=dial.engineer_secret
    )
    await assert_refused(await relay.say(preamble))


async def wrong_session(relay: RelayUnderTest) -> None:
    """A true ticket is used for another session."""
    dial = relay.relay.issue(SESSION)
    preamble = encode_preamble(
        role=Role.ENGINEER, dial_id=dial.dial_id, session_id=OTHER_SESSION, secret=dial.engineer_secret
    )
    await assert_refused(await relay.say(preamble))


async def never_issued(relay: RelayUnderTest) -> None:
    """A dial that the relay does not know."""
    dial = Dial(
        dial_id="dia-" + "a" * 16, session_id=SESSION, engineer_secret=bytes(32), endpoint_secret=bytes(32), expires=0
    )
    await assert_refused(await relay.present(dial, Role.ENGINEER))


async def expired_ticket(relay: RelayUnderTest) -> None:
    """A ticket is used when its 15 seconds are over."""
    dial = relay.relay.issue(SESSION)
    relay.clock.now = dial.expires
    await assert_refused(await relay.present(dial, Role.ENGINEER))


async def one_byte_at_a_time(relay: RelayUnderTest) -> None:
    """A network that delivers single bytes: slow, and no fault of the sender."""
    dial = relay.relay.issue(SESSION)
    engineer = await relay.connect()
    engineer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in preamble_of(dial, Role.ENGINEER):
        await send(engineer, bytes((byte,)))
        await asyncio.sleep(0)
    endpoint = await relay.present(dial, Role.ENDPOINT)
    assert await status(engineer) is await status(endpoint) is Status.PAIRED
    await assert_works((engineer, endpoint))


async def reset_midway(relay: RelayUnderTest) -> None:
    """The engineer's machine resets its connection in the middle of a stream."""
    engineer, endpoint = await relay.pair(OTHER_SESSION)
    await send(engineer, bytes(10_000))
    await receive_exactly(endpoint, 10_000)
    reset(engineer)
    with contextlib.suppress(ConnectionResetError):
        assert await receive(endpoint, 1) == b""
    assert (await relay.closings.next())[2:] == (10_000, 0)


async def bytes_and_reset_at_once(relay: RelayUnderTest) -> None:
    """Bytes and a reset reach the relay before it looks: the bytes are delivered, and the reset is not overlooked."""
    engineer, endpoint = await relay.pair(OTHER_SESSION)
    engineer.send(bytes(1000))
    reset(engineer)
    assert await receive_exactly(endpoint, 1000) == bytes(1000)
    await relay.closings.next()


async def receiver_gone_midway(relay: RelayUnderTest) -> None:
    """The endpoint goes while the engineer goes on sending."""
    engineer, endpoint = await relay.pair(OTHER_SESSION)
    sending = asyncio.create_task(send(engineer, bytes(64 * 1024 * 1024)))
    await receive(endpoint, 1000)
    reset(endpoint)
    with pytest.raises(ConnectionError):
        await sending
    await relay.closings.next()


async def gone_after_half_close(relay: RelayUnderTest) -> None:
    """A peer ends its stream in order and resets later, while nobody sends: the relay notices by itself."""
    engineer, endpoint = await relay.pair(OTHER_SESSION)
    engineer.shutdown(socket.SHUT_WR)
    assert await receive(endpoint, 1) == b""
    reset(engineer)
    await relay.closings.next()


Fault = Callable[[RelayUnderTest], Awaitable[None]]
FAULTS: list[tuple[Fault, RelayLimits | None, dict[str, Any]]] = [
    (http, None, {"refused": {Refusal.NOT_A_PREAMBLE: 1}}),
    (tls, None, {"refused": {Refusal.NOT_A_PREAMBLE: 1}}),
    (garbage_of_the_right_length, None, {"refused": {Refusal.NOT_A_PREAMBLE: 1}}),
    (oversize, None, {"refused": {Refusal.NOT_A_PREAMBLE: 1}}),
    (silent, IMPATIENT, {"timed_out": 1}),
    (half_a_preamble, IMPATIENT, {"timed_out": 1}),
    (half_a_preamble_and_gone, None, {"left": 2}),
    (gone_at_once, None, {"left": 50}),
    (nobody_comes, IMPATIENT, {"timed_out": 1, "refused": {Refusal.UNKNOWN_DIAL: 1}}),
    (left_before_the_other_came, None, {"left": 2, "refused": {Refusal.UNKNOWN_DIAL: 2}}),
    (replay_while_waiting, None, {"refused": {Refusal.USED: 1}}),
    (replay_after_pairing, None, {"refused": {Refusal.UNKNOWN_DIAL: 2}}),
    (wrong_role, None, {"refused": {Refusal.FORGED: 1}}),
    (wrong_session, None, {"refused": {Refusal.FORGED: 1}}),
    (never_issued, None, {"refused": {Refusal.UNKNOWN_DIAL: 1}}),
    (expired_ticket, None, {"refused": {Refusal.EXPIRED: 1}}),
    (one_byte_at_a_time, None, {}),
    (reset_midway, None, {"closed": {PairEnding.BROKEN: 1}}),
    (bytes_and_reset_at_once, None, {"closed": {PairEnding.BROKEN: 1}}),
    (receiver_gone_midway, None, {"closed": {PairEnding.BROKEN: 1}}),
    (gone_after_half_close, None, {"closed": {PairEnding.BROKEN: 1}}),
]


@contextlib.asynccontextmanager
async def checked_relay(limits: RelayLimits | None, caplog: pytest.LogCaptureFixture) -> AsyncIterator[RelayUnderTest]:
    """A relay with one good pair; after what happens to it, all of it is checked.

    The good pair and a new one carry bytes, nobody is left waiting, no descriptor is left behind, and nothing that a
    stranger did is in the log as an error.
    """
    before = open_descriptors()
    async with running_relay(limits) as relay:
        good = await relay.pair(GOOD_SESSION)
        yield relay
        await assert_works(good)
        await assert_works(await relay.pair(GOOD_SESSION))
        await eventually(lambda: relay.relay.counters.unpaired == 0)
    assert open_descriptors() == before
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def counted(counters: RelayCounters) -> dict[str, Any]:
    """Return the counters of what went wrong, without those that are zero."""
    names = ("refused", "timed_out", "left", "closed")
    return {name: getattr(counters, name) for name in names if getattr(counters, name)}


@on_both_loops
@pytest.mark.parametrize(("fault", "limits", "expected"), FAULTS, ids=[fault.__name__ for fault, _, _ in FAULTS])
async def test_fault(
    fault: Fault, limits: RelayLimits | None, expected: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A stranger's misdeed or a network's failure is closed and counted, and disturbs nobody else."""
    async with checked_relay(limits, caplog) as relay:
        await fault(relay)
        await eventually(lambda: counted(relay.relay.counters) == expected)


@on_both_loops
async def test_a_thousand_silent_connections(caplog: pytest.LogCaptureFixture) -> None:
    """While 1,000 connections say nothing, a pair carries 50 MB, and a new pair from the same address still meets."""
    limits = RelayLimits(unpaired=200, unpaired_per_source=100)
    with many_descriptors():
        async with checked_relay(limits, caplog) as relay:
            engineer, endpoint = await relay.pair(OTHER_SESSION)
            data = os.urandom(50_000_000)
            carrying = asyncio.gather(send(engineer, data), receive_exactly(endpoint, len(data)))
            silent_connections = [await relay.connect() for _ in range(1000)]
            assert (await carrying)[1] == data
            await assert_works(await relay.pair(OTHER_SESSION))
            counters = relay.relay.counters
            assert counters.unpaired <= 100
            assert counters.refused[Refusal.TOO_MANY_FROM_SOURCE] >= 900
            assert await status(silent_connections[0]) is Status.BUSY
            for connection in silent_connections:
                connection.close()


@on_both_loops
async def test_waiting_parties_keep_their_place(caplog: pytest.LogCaptureFixture) -> None:
    """Silent connections cannot push out those that have shown a ticket; when only such are left, newcomers go."""
    async with checked_relay(RelayLimits(unpaired=3, unpaired_per_source=100), caplog) as relay:
        dials = [relay.relay.issue(SESSION) for _ in range(3)]
        await relay.connect()
        waiting = [await relay.present(dial, Role.ENGINEER) for dial in dials]
        await eventually(lambda: relay.relay.counters.refused == {Refusal.TOO_MANY_CONNECTIONS: 1})
        await assert_refused(await relay.connect(), Status.BUSY)
        relay.relay.cut(SESSION)
        assert [await status(each) for each in waiting] == [Status.OTHER_SIDE_LEFT] * 3


@on_both_loops
async def test_out_of_descriptors(caplog: pytest.LogCaptureFixture) -> None:
    """Without descriptors, open pairs and new connections wait, without a busy loop, and go on when there are some."""
    async with checked_relay(None, caplog) as relay:
        engineer, endpoint = await relay.pair(OTHER_SESSION)
        dial = relay.relay.issue(OTHER_SESSION)
        sides = [socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) for _ in Role]
        with no_further_descriptors():
            await send(engineer, b"no pipe for this yet")
            for side, role in zip(sides, Role, strict=True):
                await asyncio.get_running_loop().sock_connect(side, relay.address)
                await send(side, preamble_of(dial, role))
            await eventually(lambda: relay.relay.counters.accept_pauses >= 2)
            assert relay.relay.counters.accept_pauses <= 3
        assert await receive_exactly(endpoint, 20) == b"no pipe for this yet"
        assert [await status(side) for side in sides] == [Status.PAIRED] * 2
        assert len([record for record in caplog.records if "accepts no connections" in record.message]) == 1
        for side in sides:
            side.close()


@on_both_loops
async def test_observer_that_fails_harms_only_its_own_report(caplog: pytest.LogCaptureFixture) -> None:
    """A bug of ours in the observer is logged, and neither a pair nor a cut suffers."""
    async with running_relay() as relay:
        good = await relay.pair(OTHER_SESSION)
        engineer, endpoint = await relay.pair()
        await relay.pair()
        relay.closings.failures = 1
        relay.relay.cut(SESSION)
        for connection in (engineer, endpoint):
            with pytest.raises(ConnectionResetError):
                await receive(connection, 1)
        await relay.closings.next()
        await assert_works(good)
    assert "a bug of ours" in caplog.text


@contextlib.contextmanager
def many_descriptors() -> Iterator[None]:
    """Raise the limit of descriptors as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def no_further_descriptors() -> Iterator[None]:
    """Lower the limit of descriptors to what is open now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
