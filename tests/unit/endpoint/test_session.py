"""A live session: who may use it, and a cut that waits for nobody."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from endpoint_parts import House, make_house
from latchstring.endpoint.errors import JournalUnavailableError
from latchstring.endpoint.session import LiveSession, SessionEndedError, TooManyConnectionsError
from latchstring.endpoint.ssh.ports import ChannelEnd, ChannelRefusal, RefusedError
from latchstring.protocol.access import AccessMode
from latchstring.protocol.endings import Reason
from latchstring.protocol.events import ChannelKind, ChannelOpened, ChannelOutcome
from latchstring.protocol.session_state import SessionState


class Connection:
    """A connection that counts its cuts."""

    bytes_moved = 0

    def __init__(self) -> None:
        self.cuts = 0

    def cut(self) -> None:
        """Take the cut."""
        self.cuts += 1


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house with its switch on."""
    async with make_house(tmp_path) as house:
        house.mode = AccessMode.ON
        yield house


@pytest.fixture
async def session(house: House) -> LiveSession:
    """A session that was granted."""
    session_id = await house.offered()
    session = house.lifecycle.sessions.find(session_id)
    assert session is not None
    return session


def states(session: LiveSession) -> list[SessionState]:
    """Return where the session stands, now."""
    return [session.state]


async def test_connections_move_the_state(session: LiveSession) -> None:
    """The first connection connects the session, the last one leaves it idle."""
    first, second = Connection(), Connection()
    await session.connected(first)
    await session.connected(second)
    assert states(session) == [SessionState.CONNECTED]
    assert session.idle_deadline(1) is None
    await session.disconnected(first)
    assert states(session) == [SessionState.CONNECTED]
    await session.disconnected(second)
    await session.disconnected(second)
    assert states(session) == [SessionState.IDLE]
    assert session.idle_deadline(1) is not None


async def test_cut_is_one_step(house: House, session: LiveSession) -> None:
    """When the cut returns the kill is sent, every connection is cut, and nothing may be used any more."""
    connection = Connection()
    await session.connected(connection)
    ending = session.cut(Reason.ENDED_BY_CUSTOMER)
    assert connection.cuts == 1
    assert house.sandboxes[0].kills == 1
    assert not session.is_live
    assert session.session_id not in house.lifecycle.sessions
    with pytest.raises(RefusedError):
        session.authorise("exec")
    with pytest.raises(SessionEndedError):
        await session.connected(Connection())
    await session.disconnected(connection)
    assert (await ending).state is SessionState.ENDED_BY_CUSTOMER


async def test_only_what_was_granted(session: LiveSession) -> None:
    """A capability that is not in the grant is refused."""
    session.authorise("exec")
    with pytest.raises(RefusedError) as caught:
        session.authorise("sftp_write")
    assert caught.value.reason is ChannelRefusal.NOT_GRANTED


async def test_no_record_no_connection(house: House, session: LiveSession) -> None:
    """A connection that cannot be recorded does not count, and the session is as it was."""
    house.store.broken = True
    with pytest.raises(JournalUnavailableError):
        await session.connected(Connection())
    assert session.connections == 0
    assert session.state is SessionState.GRANTED


async def test_channels_are_recorded_with_a_commitment(house: House, session: LiveSession) -> None:
    """A command line is in the journal's own table, and only a commitment to it in the statement."""
    channel = await session.recorder.opened(kind=ChannelKind.EXEC, capability="exec", detail="cat /secret\udcff")
    await session.recorder.closed(channel, ChannelEnd(ChannelOutcome.EXITED, 1, 2, exit_status=0))
    await session.recorder.refused(kind=ChannelKind.SFTP, reason=ChannelRefusal.NOT_GRANTED, detail=None)
    await house.journal.flush(5)
    assert house.types()[1:] == ["channel.opened", "channel.closed", "channel.refused"]
    opened = house.entries()[1]
    assert isinstance(opened.statement.event, ChannelOpened)
    assert opened.opening is not None
    assert opened.opening.commitment() == opened.statement.event.detail_commitment
    assert opened.opening.detail == "cat /secret\\xff"
    assert b"secret" not in opened.statement.canonical_bytes()


async def test_no_log_no_channel(house: House, session: LiveSession) -> None:
    """A channel whose opening cannot be written must not open."""
    house.store.broken = True
    with pytest.raises(JournalUnavailableError):
        await session.recorder.opened(kind=ChannelKind.EXEC, capability="exec", detail="true")


async def test_too_many_connections(session: LiveSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection beyond the session's budget is refused, and leaves no statement."""
    monkeypatch.setattr(session._budget, "take", lambda: False)
    with pytest.raises(TooManyConnectionsError):
        await session.connected(Connection())
    assert session.connections == 0
    assert not session.may_open()
