"""The control socket: private, only for root and the agent's user, and patient with nobody."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from eventually import eventually
from latchstring.endpoint.errors import EndpointError, RefusedError, UnreachableError, UsageFaultError
from latchstring.endpoint.local import server as server_module
from latchstring.endpoint.local.client import AgentHangsError, AgentNotRunningError, ask
from latchstring.endpoint.local.messages import (
    AccessAnswer,
    End,
    Ended,
    GetAccess,
    Request,
    decode_reply,
    decode_request,
)
from latchstring.endpoint.local.off_signal import say_off
from latchstring.endpoint.local.server import AnswerBody, LocalServer
from latchstring.protocol.access import AccessMode
from relay_parties import on_both_loops

FAULTS = {"failed": EndpointError, "usage": UsageFaultError, "refused": RefusedError}


async def carry_out(request: Request, progress: Callable[[str], None]) -> AnswerBody:
    """Answer a question, and fail to end what is named for a fault."""
    if isinstance(request, End):
        raise FAULTS[request.id](f"this one is {request.id}")
    progress("working")
    return AccessAnswer(access=AccessMode.ASK)


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    """A control socket that is listened to, at a path that is longer than an address can hold."""
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    server = LocalServer(deep / "control.sock", carry_out)
    await server.start()
    yield deep / "control.sock"
    await server.close()
    assert list(deep.iterdir()) == []


async def test_question_and_answer(path: Path) -> None:
    """A question gets progress and its answer."""
    told: list[str] = []
    answer = await asyncio.to_thread(ask, path, GetAccess(), AccessAnswer, progress=told.append)
    assert answer.access is AccessMode.ASK
    assert told == ["taken", "working"]


@pytest.mark.parametrize("kind", list(FAULTS))
async def test_each_failure_keeps_its_kind(path: Path, kind: str) -> None:
    """What kind of failure it was arrives with its line."""
    with pytest.raises(FAULTS[kind], match=f"this one is {kind}") as caught:
        await asyncio.to_thread(ask, path, End(id=kind), Ended)
    assert type(caught.value) is FAULTS[kind]


@on_both_loops
async def test_off_is_obeyed_though_nobody_waits(tmp_path: Path) -> None:
    """Whoever says off and is gone before we listen, or after a word of ours, is obeyed each time, without a trace."""
    begun: list[Request] = []

    async def obey(request: Request, progress: Callable[[str], None]) -> AnswerBody:
        begun.append(request)
        progress("working")
        await asyncio.sleep(0)
        progress("working")
        return AccessAnswer(access=AccessMode.OFF)

    faults: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
    server = LocalServer(tmp_path / "control.sock", obey)
    await server.start()

    async def heard(count: int) -> None:
        await eventually(lambda: len(begun) == count, "every word to be heard")

    for number in range(1, 121):
        said = say_off(tmp_path, None)
        assert said is not None
        if number % 3:
            await asyncio.sleep(0)  # it may have been accepted, or even answered
        said.close()
        if number % 10 == 0:
            await heard(number)
    await server.close()
    assert faults == []


def test_private(path: Path) -> None:
    """Nobody but its owner can open the socket."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(path.stat().st_mode)


async def test_other_users_are_not_heard(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is neither root nor the agent's user gets no word, whatever the file's mode."""
    monkeypatch.setattr(server_module, "_ROOT", -1)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(AgentNotRunningError, match="broke off"):
        await asyncio.to_thread(ask, path, GetAccess(), AccessAnswer)


@pytest.mark.parametrize("line", [b"\n", b"nonsense\n", b'{"command":"rule"}\n', b'{"command":"end"}\n', b"{" * 20_000])
async def test_garbage_gets_one_failure_and_is_closed(path: Path, line: bytes) -> None:
    """What is no request is answered with a failure or not at all, and the next one is served."""
    reader, writer = await asyncio.open_unix_connection(sock=connect(path))
    writer.write(line)
    answer = await reader.read()
    assert answer == b"" or b"failure" in answer
    writer.close()
    await test_question_and_answer(path)


def connect(path: Path) -> socket.socket:
    """Connect to a socket at a long path."""
    connection = socket.socket(socket.AF_UNIX)
    directory = os.open(path.parent, os.O_PATH)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
    return connection


async def test_socket_of_a_dead_agent(path: Path) -> None:
    """A socket that nobody listens to any more is replaced, and until then says what to do."""
    dead = path.with_name("dead.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        directory = os.open(path.parent, os.O_PATH)
        listener.bind(f"/proc/self/fd/{directory}/dead.sock")
        os.close(directory)
    for absent in (dead, path.with_name("never.sock")):
        with pytest.raises(AgentNotRunningError, match="latch-endpoint run"):
            await asyncio.to_thread(ask, absent, GetAccess(), AccessAnswer)
    server = LocalServer(dead, carry_out)
    await server.start()
    await asyncio.to_thread(ask, dead, GetAccess(), AccessAnswer)
    await server.close()


async def test_an_agent_that_hangs(path: Path) -> None:
    """An agent that does not answer in time is told apart from one that is not there."""
    hung = path.with_name("hung.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        directory = os.open(path.parent, os.O_PATH)
        listener.bind(f"/proc/self/fd/{directory}/hung.sock")
        os.close(directory)
        listener.listen()
        with pytest.raises(AgentHangsError):
            await asyncio.to_thread(ask, hung, GetAccess(), AccessAnswer, first_reply_seconds=0.05)
    hung.unlink()


@pytest.mark.parametrize("line", [b"", b"[]", b'{"command":"approve","id":"x","seconds":0}'])
def test_decoders_refuse(line: bytes) -> None:
    """What is no message is refused by both sides with one line."""
    for decode in (decode_request, decode_reply):
        with pytest.raises(ValueError, match=r".") as caught:
            decode(line)
        assert "\n" not in str(caught.value)


def test_no_agent_is_unreachable() -> None:
    """Both ways of not being there have the exit code of the unreachable."""
    assert issubclass(AgentNotRunningError, UnreachableError)
    assert issubclass(AgentHangsError, UnreachableError)
