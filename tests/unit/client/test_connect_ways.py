"""The ways of ``latch connect`` to the relay: raw, in a WebSocket, through an HTTP proxy; and what it leaves behind."""

import os
import time
from pathlib import Path

import pytest

from http_proxy import http_proxy
from latchstring.client.home import Home
from latchstring.protocol.dial import PREAMBLE_BYTES, Role, Status, parse_preamble, verify_preamble
from parties import wait_until
from unit.client.dialling import (
    BANNER,
    SECRET,
    RelayOverWebSocket,
    connected,
    dial_response,
    left_processes,
    relay_with,
)
from unit.client.fake_controller import FakeController
from unit.client.samples import DIAL_ID, SESSION_ID
from unit.client.websocket_peer import BINARY, CLOSE, PING, WebSocketPeer, server_frame

SLOWER = "going through the controller's HTTPS port, which is slower"


@pytest.fixture
def blocked(logged_in: FakeController, certificate: str) -> FakeController:
    """A controller whose relay's port refuses, and which carries its stream itself: an echo after a banner."""
    logged_in.handlers["POST /dials"] = lambda _asked: dial_response(certificate, 1)
    logged_in.relay = RelayOverWebSocket(server_frame(BINARY, Status.PAIRED.wire + BANNER))
    return logged_in


def relay_of(controller: FakeController) -> RelayOverWebSocket:
    """Return the relay behind the controller's HTTPS port."""
    assert isinstance(controller.relay, RelayOverWebSocket)
    return controller.relay


def test_around_a_blocked_relay(blocked: FakeController, home: Home) -> None:
    """The stream goes through the controller's port, which one line says, and ends with ``ssh``; no process is left."""
    with connected() as ran:
        assert ran.code == 0
        assert ran.err == f"latch: the relay at localhost:1 cannot be reached (Connection refused): {SLOWER}\n"
        assert ran.stream.recv(100) == BANNER
        ran.stream.sendall(b"hello")
        assert ran.stream.recv(100) == b"hello"
        assert len(left_processes(home)) == 1
    relay_of(blocked).wait_served()
    assert relay_of(blocked).codes == [1000]
    wait_until(lambda: not left_processes(home), "the process to end")
    unverified = parse_preamble(relay_of(blocked).preambles[0])
    verify_preamble(
        unverified, role=Role.ENGINEER, dial_id=DIAL_ID, session_id=SESSION_ID, secret=bytes.fromhex(SECRET)
    )


def test_process_that_is_left(blocked: FakeController, home: Home) -> None:
    """It has a session of its own, no directory of the user, and holds nothing but its two sockets."""
    with connected() as ran:
        assert ran.stream.recv(100) == BANNER
        (pid,) = left_processes(home)
        assert os.getsid(pid) == pid
        assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
        held = sorted(str(link.readlink()).partition(":")[0] for link in Path(f"/proc/{pid}/fd").iterdir())
        assert held == ["/dev/null"] * 3 + ["socket"] * 2
    relay_of(blocked).wait_served()


@pytest.mark.parametrize("shell", ["2>&-", "<&- 2>&-", "2>/dev/null"])
def test_standard_descriptors_that_are_closed(blocked: FakeController, shell: str) -> None:
    """A command that was started without some of its standard descriptors carries bytes like any other."""
    with connected(shell=shell) as ran:
        assert ran.stream.recv(100) == BANNER
        ran.stream.sendall(b"hello")
        assert ran.stream.recv(100) == b"hello"
    relay_of(blocked).wait_served()


def test_controller_that_goes(blocked: FakeController, home: Home) -> None:
    """When the controller's connection breaks, ``ssh``'s ends, and no process is left."""

    def pair_and_go(peer: WebSocketPeer) -> None:
        peer.receive()
        peer.send(Status.PAIRED.wire + BANNER)
        peer.abort()

    blocked.relay = pair_and_go
    with connected() as ran:
        heard = b""
        while chunk := ran.stream.recv(100):
            heard += chunk
        assert heard in (BANNER, b"")
        wait_until(lambda: not left_processes(home), "the process to end")


def test_pings_before_the_pairing(blocked: FakeController) -> None:
    """A controller that asks whether we are there, while the endpoint is waited for, is answered."""
    answer = server_frame(BINARY, Status.PAIRED.wire) + server_frame(BINARY, BANNER)
    blocked.relay = RelayOverWebSocket(server_frame(PING, b"there?") + answer)
    with connected() as ran:
        expected = BANNER + b"there?(pong)"
        heard = b""
        while len(heard) < len(expected):
            heard += ran.stream.recv(100)
        assert heard == expected


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (server_frame(BINARY, Status.REFUSED.wire), "the relay refused the ticket"),
        (server_frame(BINARY, Status.TIMED_OUT.wire), "the other side did not come"),
        (server_frame(BINARY, Status.BUSY.wire) + server_frame(CLOSE), "too many connections"),
        (server_frame(BINARY), "closed the connection without an answer"),
        (server_frame(CLOSE, b"\x03\xe8"), "closed the connection without an answer"),
        (server_frame(BINARY, b"S"), "not that of a relay"),
        (server_frame(0x1, b"hello"), "the controller broke the protocol, a text message"),
    ],
)
def test_relay_that_does_not_pair(blocked: FakeController, home: Home, first: bytes, words: str) -> None:
    """What comes instead of a pair is said in one line after the one on the way; nothing is passed, nobody is left."""
    blocked.relay = RelayOverWebSocket(first)
    with connected() as ran:
        assert (ran.code, ran.passed) == (4, False)
        notice, line = ran.err.splitlines()
        assert SLOWER in notice
        assert line.startswith("latch: no connection to acme-pbx1: ")
        assert words in line
    assert left_processes(home) == []


def test_no_way_at_all(blocked: FakeController) -> None:
    """A controller that does not carry the stream either is said in the same line."""
    blocked.relay = None
    with connected() as ran:
        assert ran.code == 4
        assert ran.err == (
            "latch: the relay at localhost:1 cannot be reached (Connection refused); nor is there a way through the "
            f"controller's HTTPS port: 127.0.0.1:{blocked.port} answers with HTTP status 404, is it a controller of "
            "this version?\n"
        )


def test_relay_that_drops_packets(blocked: FakeController, certificate: str, full_backlog: int) -> None:
    """Where a firewall drops packets, the other way is taken after three seconds, within the life of the ticket."""
    blocked.handlers["POST /dials"] = lambda _asked: dial_response(certificate, full_backlog).model_copy(
        update={"relay_host": "127.0.0.1"}
    )
    started = time.monotonic()
    with connected() as ran:
        assert 3 <= time.monotonic() - started < 8
        assert ran.stream.recv(100) == BANNER
        assert f"the relay at 127.0.0.1:{full_backlog} cannot be reached (no answer): {SLOWER}" in ran.err


@pytest.mark.parametrize("way", ["auto", "direct"])
def test_connection_that_is_cut_on_the_way(blocked: FakeController, certificate: str, way: str) -> None:
    """What takes the connection and cuts it is no reason to go around the relay, but to say that one could."""
    with relay_with(b"", resets=True) as relay:
        blocked.handlers["POST /dials"] = lambda _asked: dial_response(certificate, relay.port)
        with connected({"LATCH_RELAY": way}) as ran:
            assert (ran.code, ran.passed) == (4, False)
            hint = "; if something on the way cuts it, try LATCH_RELAY=websocket" if way == "auto" else ""
            assert ran.err == (
                f"latch: the relay at localhost:{relay.port} does not answer: Connection reset by peer{hint}\n"
            )
    assert relay_of(blocked).preambles == []


def test_direct_only(blocked: FakeController) -> None:
    """With LATCH_RELAY=direct nothing goes through the controller's port."""
    with connected({"LATCH_RELAY": "direct"}) as ran:
        assert ran.code == 4
        assert ran.err == (
            "latch: the relay at localhost:1 cannot be reached: Connection refused; does a firewall block that port?\n"
        )
    assert relay_of(blocked).preambles == []


def test_websocket_only(blocked: FakeController, certificate: str) -> None:
    """With LATCH_RELAY=websocket a relay that could be reached is left alone, and the line says who wanted that."""
    with relay_with(Status.PAIRED.wire) as relay:
        blocked.handlers["POST /dials"] = lambda _asked: dial_response(certificate, relay.port)
        with connected({"LATCH_RELAY": "websocket"}) as ran:
            assert ran.err == f"latch: LATCH_RELAY=websocket: {SLOWER}\n"
            assert ran.stream.recv(100) == BANNER
        assert relay.received == b""


@pytest.mark.parametrize("way", ["", "auto", "direct"])
def test_good_way_says_nothing(blocked: FakeController, certificate: str, way: str) -> None:
    """Where the relay can be reached, it is, and there is nothing to say."""
    with relay_with(Status.PAIRED.wire) as relay:
        blocked.handlers["POST /dials"] = lambda _asked: dial_response(certificate, relay.port)
        with connected({"LATCH_RELAY": way}) as ran:
            assert (ran.code, ran.err) == (0, "")
            assert ran.stream.recv(100) == BANNER
        assert len(relay.received) == PREAMBLE_BYTES
    assert relay_of(blocked).preambles == []


def test_way_that_there_is_not(blocked: FakeController) -> None:
    """A wrong value is a usage error, and nobody is asked anything."""
    with connected({"LATCH_RELAY": "fastest\n"}) as ran:
        assert ran.code == 2
        assert ran.err == ("latch: LATCH_RELAY='fastest' is no way to the relay: use one of auto, direct, websocket\n")
    assert blocked.asked == []


def test_all_through_a_proxy(blocked: FakeController, certificate: str) -> None:
    """With a proxy in the environment, the controller and the relay are reached through it, and nothing is said."""
    with http_proxy(credentials="ann:s3cret") as proxy, relay_with(Status.PAIRED.wire) as relay:
        blocked.handlers["POST /dials"] = lambda _asked: dial_response(certificate, relay.port)
        with connected({"HTTPS_PROXY": proxy.url}) as ran:
            assert (ran.code, ran.err) == (0, "")
            assert ran.stream.recv(100) == BANNER
        assert proxy.asked == [f"127.0.0.1:{blocked.port}", f"localhost:{relay.port}"]


def test_proxy_that_lets_only_https_through(blocked: FakeController, certificate: str, home: Home) -> None:
    """A proxy that refuses the relay's port is gone around inside it, and the line says what it answered."""
    with (
        http_proxy(allows=lambda port: port == blocked.port) as proxy,
        relay_with(Status.PAIRED.wire) as relay,
    ):
        blocked.handlers["POST /dials"] = lambda _asked: dial_response(certificate, relay.port)
        with connected({"https_proxy": proxy.url}) as ran:
            assert ran.err == (
                f"latch: the relay at localhost:{relay.port} cannot be reached (the proxy at 127.0.0.1:{proxy.port} "
                f"refuses the connection (HTTP status 403 Forbidden)): {SLOWER}\n"
            )
            assert ran.stream.recv(100) == BANNER
            ran.stream.sendall(b"hello")
            assert ran.stream.recv(100) == b"hello"
        relay_of(blocked).wait_served()
        https = f"127.0.0.1:{blocked.port}"
        assert proxy.asked == [https, f"localhost:{relay.port}", https]
    wait_until(lambda: not left_processes(home), "the process to end")


@pytest.mark.parametrize("credentials", ["ann:wrong@", ""])
def test_proxy_that_wants_a_password(blocked: FakeController, credentials: str) -> None:
    """A proxy that does not know us is named with its status in one line, without what was tried."""
    with (
        http_proxy(credentials="ann:s3cret") as proxy,
        connected({"HTTPS_PROXY": f"http://{credentials}127.0.0.1:{proxy.port}"}) as ran,
    ):
        assert ran.code == 4
        assert f"the proxy at 127.0.0.1:{proxy.port} refuses the connection (HTTP status 407" in ran.err
        assert "wrong" not in ran.err
        assert ran.err.count("\n") == 1
    assert blocked.asked == []


def test_variable_that_names_no_proxy(blocked: FakeController) -> None:
    """A proxy of another kind is a usage error that repeats no password."""
    with connected({"HTTPS_PROXY": "socks5://ann:s3cret@127.0.0.1:1"}) as ran:
        assert ran.code == 2
        assert ran.err.startswith("latch: HTTPS_PROXY is not the address of an HTTP proxy")
        assert "s3cret" not in ran.err
        assert ran.err.count("\n") == 1
    assert blocked.asked == []
