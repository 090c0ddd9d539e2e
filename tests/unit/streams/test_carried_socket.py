"""A socket that somebody else carries tells its carrier what a TCP connection would tell its peer."""

import socket

import pytest

from latchstring.streams.carried_socket import carried_pair, reset_on_close


def test_the_carrier_is_told() -> None:
    """A close is told once it is done, a reset before it; bytes go both ways, and a half-close is one."""
    told: list[str] = []
    held, ours = carried_pair(on_reset=lambda: told.append("reset"), on_close=lambda: told.append("close"))
    with ours:
        held.send(b"there")
        ours.send(b"back")
        assert (ours.recv(9), held.recv(9)) == (b"there", b"back")
        held.shutdown(socket.SHUT_WR)
        assert ours.recv(9) == b""
        assert told == []
        reset_on_close(held)
        assert told == ["reset"]
        held.close()
        assert told == ["reset", "close"]


def test_neither_end_blocks() -> None:
    """Both ends are for an event loop."""
    held, ours = carried_pair(on_reset=lambda: None, on_close=lambda: None)
    with held, ours:
        for end in (held, ours):
            with pytest.raises(BlockingIOError):
                end.recv(1)


def test_a_tcp_connection_is_reset() -> None:
    """What is no carried socket gets a reset when it is closed: its peer does not take the end for one in order."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        accepted, _ = listener.accept()
        reset_on_close(accepted)
        accepted.close()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
