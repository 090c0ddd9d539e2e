"""``access off`` before anything heavy is imported: the same words, and quick to say."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from latchstring.endpoint.local.messages import SetAccess, decode_request
from latchstring.endpoint.local.off_signal import say_off, say_off_early
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


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["access", "off", "--data", "DIR"], {}, True),
        (["access", "off", "--data", "DIR", "--json"], {"LATCH_DATA": "elsewhere"}, True),
        (["access", "off"], {"LATCH_DATA": "DIR"}, True),
        (["access", "off", "--json"], {"LATCH_DATA": "DIR"}, True),
        (["access", "off"], {}, False),
        (["access", "off"], {"LATCH_DATA": ""}, False),
        (["access", "off", "--data"], {"LATCH_DATA": "DIR"}, False),
        (["access", "off", "--data", "DIR", "--for", "1h"], {}, False),
        (["access", "off", "--data", "DIR", "--help"], {}, False),
        (["access", "off", "--data", "DIR", "please"], {}, False),
        (["access", "on", "--data", "DIR"], {}, False),
        (["access", "--data", "DIR", "off"], {}, False),
        (["status", "--data", "DIR"], {}, False),
        ([], {"LATCH_DATA": "DIR"}, False),
    ],
)
def test_only_what_is_plain_is_said_early(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], *, said: bool
) -> None:
    """Only a command line that can mean nothing else is obeyed before it is parsed."""
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / SOCKET_NAME))
        agent.listen()
        connection = say_off_early(
            [str(tmp_path) if argument == "DIR" else argument for argument in arguments],
            {name: str(tmp_path) if value == "DIR" else value for name, value in environment.items()},
        )
        assert (connection is not None) == said
        if connection is not None:
            with connection, agent.accept()[0] as heard, heard.makefile("rb") as lines:
                assert decode_request(lines.readline()) == SetAccess(mode=AccessMode.OFF, seconds=None)


def test_nothing_heavy_is_imported() -> None:
    """Only the standard library is needed to say it, and the program imports no more before that."""
    program = (
        "import sys, latchstring.endpoint.__main__;"
        "print([name for name in ('click', 'pydantic', 'cryptography', 'asyncssh', 'aiohttp') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
