"""``access off`` before anything heavy is imported: the same words, and quick to say."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from latchstring.endpoint.local.messages import SetAccess, decode_request
from latchstring.endpoint.local.off_signal import say_off
from latchstring.endpoint.local.socket_path import SOCKET_NAME
from latchstring.protocol.access import AccessMode


@pytest.mark.parametrize("seconds", [None, 7200])
def test_the_words_are_the_protocols(tmp_path: Path, seconds: int | None) -> None:
    """What is said early is what the ordinary command would say."""
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / SOCKET_NAME))
        agent.listen()
        said = say_off(tmp_path, seconds)
        assert said is not None
        with said, agent.accept()[0] as heard, heard.makefile("rb") as lines:
            assert decode_request(lines.readline()) == SetAccess(mode=AccessMode.OFF, seconds=seconds)


def test_without_an_agent_nothing_is_said(tmp_path: Path) -> None:
    """No directory, no socket, or nobody behind it: None, so that the other ways to turn off are tried."""
    assert say_off(tmp_path / "missing", None) is None
    assert say_off(tmp_path, None) is None
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / SOCKET_NAME))
    assert say_off(tmp_path, None) is None


def test_nothing_heavy_is_imported() -> None:
    """Only the standard library is needed to say it."""
    program = (
        "import sys, latchstring.endpoint.local.off_signal;"
        "print([name for name in ('pydantic', 'cryptography', 'asyncssh', 'aiohttp') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
