"""The command line as a whole: exit codes, one line for each fault, terminals and pipes."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from latchstring.client.errors import one_line
from latchstring.client.home import Home
from latchstring.protocol.api import EndpointList
from unit.client.conftest import Latch
from unit.client.fake_controller import USER, Asked, FakeController
from unit.client.samples import SESSION_ID, endpoint_view, session_view

PROGRAM = str(Path(sys.prefix) / "bin" / "latch")
SECONDS = 20
NOT_LOGGED_IN = "you are not logged in: run `latch login URL --user EMAIL`"


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        ((), 2, "Missing command: see `latch --help`"),
        (("fly",), 2, "No such command 'fly': see `latch --help`"),
        (("audit",), 2, "Missing command: see `latch audit --help`"),
        (("login",), 2, "Missing argument 'URL': see `latch login --help`"),
        (("login", "https://a.test"), 2, "Missing option '--user': see `latch login --help`"),
        (("login", "a.test", "--user", USER), 2, "'a.test' is not a controller's URL: write it like https://"),
        (("login", "https://a.test", "--user", "ann"), 2, "'ann' is not an e-mail address"),
        (("endpoints",), 1, NOT_LOGGED_IN),
        (("endpoints", "--loud"), 2, "No such option '--loud'"),
        (("sessions", "--limit", "0"), 2, "Invalid value for '--limit'"),
        (("close", SESSION_ID), 1, NOT_LOGGED_IN),
        (("close",), 2, "Missing argument 'ID'"),
        (("status",), 1, NOT_LOGGED_IN),
        (("logout",), 1, NOT_LOGGED_IN),
        (("ssh-config",), 1, NOT_LOGGED_IN),
        (("ssh-config", "--install"), 1, NOT_LOGGED_IN),
        (("connect",), 2, "Missing argument 'HOST'"),
        (("connect", "a b"), 2, "'a b' is not an endpoint"),
        (("connect", "--", "-a"), 2, "'-a' is not an endpoint"),
        (("connect", "acme-pbx1"), 1, NOT_LOGGED_IN),
        (("open", "acme-pbx1", "--purpose", "maintenance"), 1, NOT_LOGGED_IN),
        (("open", "Acme", "--purpose", "maintenance"), 2, "'Acme' is not an endpoint name"),
        (("audit", "list"), 1, NOT_LOGGED_IN),
        (("audit", "show", SESSION_ID), 1, NOT_LOGGED_IN),
        (("audit", "verify"), 1, NOT_LOGGED_IN),
    ],
)
def test_fault(latch: Latch, home: Home, arguments: tuple[str, ...], code: int, line: str) -> None:
    """What cannot be done ends in one line on stderr and its exit code, and makes no home."""
    ran = latch(*arguments)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith(f"latch: {line}")
    assert ran.err.count("\n") == 1
    assert not home.path.exists()


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), *((name, "--help") for name in ("login", "open", "connect", "audit", "ssh-config"))],
)
def test_help(latch: Latch, arguments: tuple[str, ...]) -> None:
    """Help is an answer."""
    ran = latch(*arguments)
    assert (ran.code, ran.err) == (0, "")
    assert "latch" in ran.out


def test_help_is_quick() -> None:
    """Help loads neither pydantic, cryptography nor rich."""
    script = (
        "import sys; sys.argv = ['latch', 'open', '--help']\n"
        "from latchstring.client.__main__ import main\n"
        "code = main()\n"
        "sys.exit(code or ' '.join({'pydantic', 'cryptography', 'rich'} & set(sys.modules)) or None)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=SECONDS, check=False)
    assert ran.returncode == 0, ran.stderr


def test_completion() -> None:
    """The shell can complete commands."""
    environment = {**os.environ, "_LATCH_COMPLETE": "bash_complete", "COMP_WORDS": "latch ssh", "COMP_CWORD": "1"}
    ran = subprocess.run([PROGRAM], env=environment, capture_output=True, text=True, timeout=SECONDS, check=True)
    assert ran.stdout == "plain,ssh-config\n"


def test_reader_that_has_heard_enough(logged_in: FakeController) -> None:
    """A pipe that is closed early ends the command without a traceback."""
    views = tuple(endpoint_view(name=f"acme-{number}") for number in range(2000))
    logged_in.handlers["GET /endpoints"] = lambda _asked: EndpointList(endpoints=views)
    command = f"{PROGRAM} endpoints | head -1"
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert ran.stdout.startswith("NAME ")
    assert ran.stderr == ""


def test_terminal_gets_a_table(logged_in: FakeController) -> None:
    """On a terminal the table is drawn, and what a remote party wrote is no markup of it."""
    view = endpoint_view().model_copy(update={"customer": "Acme [red]Dental"})
    logged_in.handlers["GET /endpoints"] = lambda _asked: EndpointList(endpoints=(view,))
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    subprocess.run([PROGRAM, "endpoints"], stdout=theirs, env=environment, timeout=SECONDS, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "acme-pbx1" in shown
    assert "Acme [red]Dental" in shown


def test_interrupt_of_a_waiting_open(logged_in: FakeController) -> None:
    """Ctrl-C in a real process withdraws the request, and ends with one line."""
    asked: list[Asked] = []

    def withdraw(it: Asked) -> object:
        asked.append(it)
        return session_view(state="withdrawn")

    logged_in.handlers |= {
        "POST /sessions": lambda _asked: session_view(),
        f"GET /sessions/{SESSION_ID}": lambda _asked: session_view(state="awaiting_consent"),
        f"DELETE /sessions/{SESSION_ID}": withdraw,
    }
    command = [PROGRAM, "open", "acme-pbx1", "--purpose", "maintenance"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "waiting for Acme Dental" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == f"latch: interrupted: the request {SESSION_ID} was withdrawn\n"
        assert process.wait(SECONDS) == 1
    assert [it.method for it in asked] == ["DELETE"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("a\nb\tc\x1b[0m\u2028d\u202ee", "a b c [0m d e"),
        ("x" * 400, "x" * 299 + "…"),
        ("", ""),
    ],
)
def test_one_line(text: str, line: str) -> None:
    """What a remote party wrote becomes one bounded line without hidden characters."""
    assert one_line(text) == line
