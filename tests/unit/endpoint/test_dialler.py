"""Dials: for live sessions only, to a relay that pairs, and each socket reaches one session."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from endpoint_parts import House, make_house, session_id
from latchstring.endpoint import dialler as dialler_module
from latchstring.endpoint.dialler import Dialler
from latchstring.endpoint.outbound import connect_tcp
from latchstring.endpoint.relay_address import RelayAddress
from latchstring.endpoint.ssh.ports import SessionDirectory
from latchstring.protocol.access import AccessMode
from latchstring.protocol.dial import PREAMBLE_BYTES, Role, Status, parse_preamble, verify_preamble
from latchstring.protocol.endings import Reason
from latchstring.protocol.messages import DialFailed, DialFailure, DialRelay

SECRET = b"k" * 32


@dataclass
class Ends:
    """A dialler, and the relay that it comes to."""

    house: House
    dialler: Dialler
    relay: socket.socket
    failures: "asyncio.Queue[DialFailed]" = field(default_factory=asyncio.Queue)
    served: "asyncio.Queue[tuple[socket.socket, SessionDirectory]]" = field(default_factory=asyncio.Queue)

    def message(self, number: int = 0) -> DialRelay:
        """Return the controller's wish for a dial to the relay."""
        host, port = self.relay.getsockname()
        dial_id = "dia-" + "a" * 16
        return DialRelay(session_id=session_id(number), dial_id=dial_id, host=host, port=port, secret=SECRET.hex())

    async def accept(self) -> socket.socket:
        """Accept the endpoint's connection."""
        connection, _ = await asyncio.get_running_loop().sock_accept(self.relay)
        return connection


@pytest.fixture
async def ends(tmp_path: Path) -> AsyncIterator[Ends]:
    """A live session, a dialler, and a relay's listening socket."""
    async with make_house(tmp_path) as house:
        house.mode = AccessMode.ON
        await house.offered()
        with socket.create_server(("127.0.0.1", 0)) as relay:
            relay.setblocking(False)
            ends: Ends

            async def serve(connection: socket.socket, sessions: SessionDirectory) -> None:
                with connection:
                    ends.served.put_nowait((connection, sessions))
                    await asyncio.get_running_loop().sock_recv(connection, 1)

            async def report(message: DialFailed) -> None:
                ends.failures.put_nowait(message)

            dialler = Dialler(
                house.lifecycle.sessions,
                house.journal,
                relay=RelayAddress(*relay.getsockname()),
                connect=lambda: connect_tcp(*relay.getsockname()),
                serve=serve,
                report=report,
            )
            ends = Ends(house, dialler, relay)
            yield ends
            await dialler.close()


async def test_paired(ends: Ends) -> None:
    """The preamble is the ticket's, and once paired the socket is served, for its own session only."""
    loop = asyncio.get_running_loop()
    ends.dialler.dial(ends.message())
    with await ends.accept() as connection:
        preamble = parse_preamble(await loop.sock_recv(connection, PREAMBLE_BYTES))
        verify_preamble(preamble, role=Role.ENDPOINT, dial_id="dia-" + "a" * 16, session_id=session_id(), secret=SECRET)
        assert ends.served.empty()
        await loop.sock_sendall(connection, Status.PAIRED.wire)
        served, sessions = await ends.served.get()
        assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        await ends.house.offered(1)
        assert sessions.find(session_id()) is not None
        assert sessions.find(session_id(1)) is None
        sessions.refused("key_mismatch")
        await ends.house.journal.flush(5)
        assert ends.house.types()[-1] == "session.connection_refused"


async def test_not_live(ends: Ends) -> None:
    """A dial for a session that is not live, or past its deadline, connects nowhere."""
    ends.dialler.dial(ends.message(1))
    assert (await ends.failures.get()).failure is DialFailure.NOT_LIVE
    ends.house.clock.elapsed = 3600
    ends.dialler.dial(ends.message())
    assert (await ends.failures.get()).failure is DialFailure.NOT_LIVE


@pytest.mark.parametrize("place", ["host", "port"])
async def test_no_other_address(ends: Ends, place: str, caplog: pytest.LogCaptureFixture) -> None:
    """A dial to a host or a port that is not the relay's connects nowhere, whoever listens there, and is warned of."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        change = {"host": "localhost"} if place == "host" else {"port": other.getsockname()[1]}
        ends.dialler.dial(ends.message().model_copy(update=change))
        assert (await asyncio.wait_for(ends.failures.get(), 10)).failure is DialFailure.REFUSED
        for listener in (other, ends.relay):
            with pytest.raises(BlockingIOError):
                listener.accept()
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "is not the relay" in record.getMessage()


@pytest.mark.parametrize("answer", [Status.REFUSED.wire, Status.BUSY.wire, b"\xff", b""])
async def test_not_paired(ends: Ends, answer: bytes) -> None:
    """Any other answer of the relay, or none, ends the dial, and the socket with it."""
    loop = asyncio.get_running_loop()
    ends.dialler.dial(ends.message())
    with await ends.accept() as connection:
        await loop.sock_recv(connection, PREAMBLE_BYTES)
        await loop.sock_sendall(connection, answer)
        connection.shutdown(socket.SHUT_WR)
        assert (await ends.failures.get()).failure is DialFailure.UNREACHABLE
        assert await loop.sock_recv(connection, 1) == b""
    assert ends.served.empty()


async def test_nobody_there(ends: Ends) -> None:
    """A relay that cannot be reached is told as such."""
    message = ends.message()
    ends.relay.close()
    ends.dialler.dial(message)
    assert (await ends.failures.get()).failure is DialFailure.UNREACHABLE


async def test_silent_relay(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that says nothing is given up."""
    monkeypatch.setattr(dialler_module, "ANSWER_SECONDS", 0.05)
    ends.dialler.dial(ends.message())
    with await ends.accept():
        assert (await ends.failures.get()).failure is DialFailure.UNREACHABLE


async def test_too_many(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more dials wait at once than are allowed."""
    monkeypatch.setattr(dialler_module, "MAX_DIALS", 2)
    for _ in range(3):
        ends.dialler.dial(ends.message())
    assert (await ends.failures.get()).failure is DialFailure.REFUSED
    assert ends.failures.empty()


async def test_a_cut_session_takes_its_dial_along(ends: Ends) -> None:
    """What is served for a session that has ended reaches it no more."""
    loop = asyncio.get_running_loop()
    ends.dialler.dial(ends.message())
    with await ends.accept() as connection:
        await loop.sock_recv(connection, PREAMBLE_BYTES)
        await loop.sock_sendall(connection, Status.PAIRED.wire)
        _, sessions = await ends.served.get()
        ends.house.lifecycle.end(session_id(), Reason.ENDED_BY_CUSTOMER)
        assert sessions.find(session_id()) is None
