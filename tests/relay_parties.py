"""A relay on loopback, and the two parties that come to it, for tests."""

import asyncio
import contextlib
import functools
import inspect
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from latchstring.controller.relay import Dial, Relay, RelayLimits
from latchstring.protocol.dial import Role, Status, encode_preamble, parse_status

SESSION = "ses-" + "s" * 16
OTHER_SESSION = "ses-" + "t" * 16


class Closings:
    """Keeps what the relay's observer is told, and lets a test wait for it; the next ``failures`` of them raise."""

    def __init__(self) -> None:
        self.failures = 0
        self.seen: list[tuple[str, str, int, int]] = []
        self._queue: asyncio.Queue[tuple[str, str, int, int]] = asyncio.Queue()

    def connection_closed(
        self, session_id: str, dial_id: str, bytes_from_engineer: int, bytes_from_endpoint: int
    ) -> None:
        """Take a closing."""
        if self.failures:
            self.failures -= 1
            raise RuntimeError("a bug of ours")
        closing = (session_id, dial_id, bytes_from_engineer, bytes_from_endpoint)
        self.seen.append(closing)
        self._queue.put_nowait(closing)

    async def next(self) -> tuple[str, str, int, int]:
        """Return the next closing."""
        return await asyncio.wait_for(self._queue.get(), 10)


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class RelayUnderTest:
    """A relay, its address, and ways to come to it. What came to it is closed at the end."""

    def __init__(self, relay: Relay, address: tuple[str, int], closings: Closings, clock: Clock) -> None:
        self.relay = relay
        self.address = address
        self.closings = closings
        self.clock = clock
        self._connections: list[socket.socket] = []

    async def connect(self) -> socket.socket:
        """Return a connection to the relay that has said nothing."""
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._connections.append(connection)
        await asyncio.get_running_loop().sock_connect(connection, self.address)
        return connection

    async def say(self, first_bytes: bytes) -> socket.socket:
        """Return a connection to the relay that has sent these bytes."""
        connection = await self.connect()
        await asyncio.get_running_loop().sock_sendall(connection, first_bytes)
        return connection

    async def present(self, dial: Dial, role: Role) -> socket.socket:
        """Return a connection that has shown its ticket."""
        return await self.say(preamble_of(dial, role))

    async def pair(self, session_id: str = SESSION) -> tuple[socket.socket, socket.socket]:
        """Return the engineer's and the endpoint's end of a new relayed connection, in that order."""
        dial = self.relay.issue(session_id)
        engineer = await self.present(dial, Role.ENGINEER)
        endpoint = await self.present(dial, Role.ENDPOINT)
        assert await status(engineer) is Status.PAIRED
        assert await status(endpoint) is Status.PAIRED
        return engineer, endpoint

    def close_parties(self) -> None:
        """Close every connection that came to the relay."""
        for connection in self._connections:
            connection.close()


@contextlib.asynccontextmanager
async def running_relay(limits: RelayLimits | None = None) -> AsyncIterator[RelayUnderTest]:
    """Run a relay on a free port of loopback."""
    closings, clock = Closings(), Clock()
    relay = Relay(clock=clock, random=os.urandom, observer=closings, limits=limits)
    address = await relay.start("127.0.0.1", 0)
    under_test = RelayUnderTest(relay, address, closings, clock)
    try:
        yield under_test
    finally:
        await relay.close()
        under_test.close_parties()


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test once on asyncio's event loop and once on uvloop's."""

    @functools.wraps(test)
    def run(*, new_event_loop: Callable[[], asyncio.AbstractEventLoop], **arguments: object) -> None:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(test(**arguments))

    loop_parameter = inspect.Parameter("new_event_loop", inspect.Parameter.KEYWORD_ONLY)
    parameters = [*inspect.signature(test).parameters.values(), loop_parameter]
    vars(run)["__signature__"] = inspect.Signature(parameters)  # where pytest looks for what a test needs
    loops = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    on_both: Callable[..., None] = pytest.mark.parametrize("new_event_loop", loops.values(), ids=loops.keys())(run)
    return on_both


def with_relay(test: Callable[[RelayUnderTest], Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test with a relay of its own, on both event loops."""

    async def run() -> None:
        async with running_relay() as relay:
            await test(relay)

    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    return on_both_loops(run)


def preamble_of(dial: Dial, role: Role) -> bytes:
    """Return the preamble that the holder of this role's ticket sends."""
    return encode_preamble(role=role, dial_id=dial.dial_id, session_id=dial.session_id, secret=dial.secret_of(role))


async def status(connection: socket.socket) -> Status:
    """Return the relay's answer."""
    return parse_status(await receive(connection, 1))


async def send(connection: socket.socket, data: bytes) -> None:
    """Send all of it."""
    await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(connection, data), 30)


async def receive(connection: socket.socket, count: int) -> bytes:
    """Return what comes next, at most ``count`` bytes; nothing at the end."""
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(connection, count), 30)


async def receive_exactly(connection: socket.socket, count: int) -> bytes:
    """Return the next ``count`` bytes."""
    received = bytearray()
    while len(received) < count:
        piece = await receive(connection, count - len(received))
        assert piece, "the connection ended early"
        received += piece
    return bytes(received)


async def assert_works(pair: tuple[socket.socket, socket.socket]) -> None:
    """Check that both directions of a relayed connection carry bytes."""
    for source, sink in (pair, pair[::-1]):
        data = os.urandom(100_000)
        _, received = await asyncio.gather(send(source, data), receive_exactly(sink, len(data)))
        assert received == data


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the relay's counters have no event
            await asyncio.sleep(0.002)


def open_descriptors() -> int:
    """Return how many descriptors this process has."""
    return sum(1 for _ in _descriptors())


def open_pipe_ends() -> int:
    """Return how many descriptors of this process are ends of a pipe."""
    return sum(1 for descriptor in _descriptors() if stat.S_ISFIFO(_mode(descriptor)))


def _descriptors() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc/self/fd").iterdir())


def _mode(descriptor: int) -> int:
    try:
        return os.fstat(descriptor).st_mode
    except OSError:  # the descriptor that listed the directory
        return 0
