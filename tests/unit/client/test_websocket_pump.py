"""The pump between ``ssh`` and a WebSocket, over real TLS: both ways, half-closes, cuts, back-pressure, and its end."""

import hashlib
import os
import socket
from collections.abc import Iterator

import pytest

from latchstring.client import websocket_pump
from latchstring.client.websocket_stream import READ_BYTES
from unit.client.fake_controller import FakeController
from unit.client.websocket_line import MEGABYTE, Line, fill, running_line, wait_until_stuck
from unit.client.websocket_peer import BINARY, CLOSE, PING, PONG, SECONDS, TEXT, server_frame


@pytest.fixture
def line(shared_controller: FakeController) -> Iterator[Line]:
    """A pump that runs."""
    with running_line(shared_controller) as line:
        yield line


def test_request_to_the_controller(line: Line) -> None:
    """The WebSocket is asked for at the relay's path, with no credentials of the account."""
    assert line.request.startswith("GET /relay HTTP/1.1\r\nHost: 127.0.0.1:")
    assert "authorization" not in line.request.lower()


def test_both_ways_at_once(line: Line) -> None:
    """Many megabytes go both ways at the same time, unchanged; each end is passed on; then it closes with 1000."""
    up, down = os.urandom(12 * MEGABYTE), os.urandom(12 * MEGABYTE)

    def send_down() -> None:
        for start in range(0, len(down), 200_000):
            line.peer.send(down[start : start + 200_000])
        line.peer.send()

    def send_up() -> None:
        line.ssh.sendall(up)
        line.ssh.shutdown(socket.SHUT_WR)

    sending = [line.meanwhile(send_down), line.meanwhile(send_up)]
    heard = line.meanwhile(line.hear)
    assert hashlib.sha256(line.peer.receive_stream()).digest() == hashlib.sha256(up).digest()
    assert hashlib.sha256(heard.result(SECONDS)).digest() == hashlib.sha256(down).digest()
    for sent in sending:
        sent.result(SECONDS)
    assert line.peer.receive() == (CLOSE, b"\x03\xe8")
    line.peer.secured.close()
    line.pump_ended()


def test_what_came_before_the_pump(shared_controller: FakeController) -> None:
    """What came with the relay's answer is delivered first."""
    with running_line(shared_controller, early=b"SSH-2.0-") as line:
        line.peer.send(b"test\r\n")
        assert line.ssh.recv(8) == b"SSH-2.0-"
        assert line.ssh.recv(100) == b"test\r\n"


def test_half_close_of_ssh(line: Line) -> None:
    """After ``ssh`` has ended its direction, the other goes on."""
    line.ssh.sendall(b"last")
    line.ssh.shutdown(socket.SHUT_WR)
    assert line.peer.receive_stream() == b"last"
    line.peer.send(b"still here")
    assert line.ssh.recv(100) == b"still here"
    line.peer.send()
    assert line.hear() == b""
    assert line.peer.receive_close() == 1000


def test_half_close_of_the_controller(line: Line) -> None:
    """After the controller has ended its direction, the other goes on."""
    line.peer.send(b"last")
    line.peer.send()
    assert line.hear() == b"last"
    line.ssh.sendall(b"still here")
    assert line.peer.receive() == (BINARY, b"still here")
    assert line.pump_goes_on()
    line.ssh.close()
    assert line.peer.receive_stream() == b""
    assert line.peer.receive_close() == 1000


def test_last_words_of_ssh(line: Line) -> None:
    """What ``ssh`` said before it closed arrives, though the controller still sends; then the pump ends."""
    line.ssh.sendall(b"x" * 150_000)
    line.ssh.close()
    line.peer.send(b"for nobody")
    assert line.peer.receive_stream() == b"x" * 150_000
    line.peer.send(b"for nobody")
    assert line.peer.receive_close() == 1000
    assert line.pump_goes_on()  # else what it said could be lost with the connection
    line.peer.secured.close()
    line.pump_ended()


@pytest.mark.parametrize("busy", [True, False])
def test_ssh_goes_while_the_controller_takes_nothing(
    line: Line, monkeypatch: pytest.MonkeyPatch, *, busy: bool
) -> None:
    """The pump does not outlive ``ssh`` for long, whatever the controller does not take or does not answer."""
    monkeypatch.setattr(websocket_pump, "LEAVE_SECONDS", 0.3)
    if busy:
        fill(line.ssh)
    line.ssh.close()
    line.pump_ended()


def test_cut(line: Line) -> None:
    """When the controller resets the connection, what is held here is not delivered any more."""
    line.peer.secured.settimeout(0.5)
    with pytest.raises(TimeoutError):
        line.peer.secured.sendall(server_frame(BINARY, b"x" * 200_000) * 200)
    line.peer.abort()
    line.pump_ended()
    assert len(line.hear()) < MEGABYTE


def test_controller_goes_without_a_word(line: Line) -> None:
    """A connection that ends without a closing frame ends ``ssh``'s too."""
    line.peer.send(b"x")
    assert line.ssh.recv(1) == b"x"
    line.peer.secured.close()
    assert line.hear() == b""
    line.pump_ended()


def test_controller_closes_before_the_end(line: Line) -> None:
    """A closing frame before the stream's end ends ``ssh``'s connection, and is answered."""
    line.peer.send(b"\x03\xe9", CLOSE)
    assert line.hear() == b""
    assert line.peer.receive_close() == 1000
    line.peer.secured.close()
    line.pump_ended()


def test_close_does_not_overtake_the_stream(shared_controller: FakeController) -> None:
    """A slow ``ssh`` gets all that came before the end and the closing frame, even from a controller that is gone."""
    with running_line(shared_controller, narrow=True) as line:
        line.peer.secured.sendall(server_frame(BINARY, b"x" * 200_000) + server_frame(BINARY) + server_frame(CLOSE))
        line.peer.secured.shutdown(socket.SHUT_WR)
        assert line.pump_goes_on()
        assert line.hear() == b"x" * 200_000
        line.pump_ended()


def test_bytes_that_only_tls_still_holds(shared_controller: FakeController) -> None:
    """The end of what came is delivered too where it was decrypted with what filled the buffer before it."""
    with running_line(shared_controller, narrow=True) as line:
        line.peer.send(b"a" * 50_000)
        assert line.pump_goes_on()
        line.peer.send(b"b" * 100)  # a record of its own: what follows is cut 100 bytes before its end
        line.peer.send(b"c" * (READ_BYTES - 10))
        heard = 0
        while heard < 50_000 + 100 + READ_BYTES - 10:
            heard += len(line.ssh.recv(MEGABYTE))


def test_bytes_that_came_with_the_answer_to_the_upgrade(shared_controller: FakeController) -> None:
    """What stands in the same packet as the answer to the upgrade is the stream's beginning."""
    with running_line(shared_controller, with_answer=server_frame(BINARY, b"SSH-2.0-test")) as line:
        assert line.ssh.recv(100) == b"SSH-2.0-test"


def test_controller_is_held_back_by_a_slow_ssh(line: Line) -> None:
    """While ``ssh`` takes nothing, nothing more is read: the sender gets stuck, and all arrives in the end."""
    sent = line.meanwhile(line.peer.secured.sendall, server_frame(BINARY, b"x" * 200_000) * 200)
    wait_until_stuck(line.peer.secured)
    assert not sent.done()
    received = 0
    while received < 200 * 200_000:
        received += len(line.ssh.recv(MEGABYTE))
    sent.result(SECONDS)


def test_ssh_is_held_back_by_a_slow_controller(line: Line) -> None:
    """While the controller takes nothing, nothing more is read from ``ssh``, and all arrives in the end."""
    sent = line.meanwhile(line.ssh.sendall, b"x" * 16 * MEGABYTE)
    wait_until_stuck(line.ssh)
    assert not sent.done()
    received = 0
    while received < 16 * MEGABYTE:
        received += len(line.peer.receive()[1])
    sent.result(SECONDS)


def test_ping(line: Line) -> None:
    """A ping is answered with its own words."""
    line.peer.send(b"are you there", PING)
    assert line.peer.receive() == (PONG, b"are you there")


def test_pings_behind_what_ssh_does_not_take(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """While ``ssh`` takes nothing, pongs that nobody asked for keep the connection from being given up."""
    monkeypatch.setattr(websocket_pump, "PONG_SECONDS", 0.02)
    line.peer.secured.sendall(server_frame(BINARY, b"x" * 60_000) * 20 + server_frame(PING, b"late"))
    assert line.peer.receive() == (PONG, b"")
    assert line.peer.receive() == (PONG, b"")
    received = 0
    while received < 20 * 60_000:
        received += len(line.ssh.recv(MEGABYTE))
    answers = iter(line.peer.receive, (PONG, b"late"))
    assert all(answer == (PONG, b"") for answer in answers)


def test_silent_controller(shared_controller: FakeController, monkeypatch: pytest.MonkeyPatch) -> None:
    """A controller that says nothing for long, not even a ping, is gone, and so is the pump."""
    monkeypatch.setattr(websocket_pump, "SILENCE_SECONDS", 0.3)
    with running_line(shared_controller) as line:
        assert line.hear() == b""
        line.pump_ended()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (server_frame(TEXT, b"hello"), 1003),
        (server_frame(BINARY, b"x" * (256 * 1024 + 1)), 1009),
        (server_frame(BINARY, b"x", reserved=0x40), 1002),
    ],
)
def test_controller_that_breaks_the_protocol(line: Line, frame: bytes, code: int) -> None:
    """A fault of the controller ends the connection with its code."""
    line.meanwhile(line.peer.secured.sendall, frame)
    assert line.hear() == b""
    assert line.peer.receive_close() == code
    line.peer.secured.close()
    line.pump_ended()
