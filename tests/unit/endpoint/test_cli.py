"""The command line without an agent: exit codes, one line for each mistake, and what works offline."""

import fcntl
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from endpoint_parts import item, make_offer, session_id
from enrolling_controller import enrolling_controller
from latchstring.endpoint.__main__ import DONE, FAILED, UNREACHABLE, USAGE, run
from latchstring.endpoint.agent_process import start_time_of
from latchstring.endpoint.cli import output
from latchstring.endpoint.clock import SystemClock
from latchstring.endpoint.data_directory import open_directory
from latchstring.endpoint.enrol import enrol
from latchstring.endpoint.identity import load_identity
from latchstring.endpoint.journal.commitments import Opening
from latchstring.endpoint.journal.store import JournalStore
from latchstring.protocol.events import AgentStarted, ChannelOpened, SessionGranted


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """The data directory of an endpoint that was enrolled, and does not run."""
    async with enrolling_controller(tmp_path / "controller") as controller:
        await enrol(controller.code, tmp_path / "endpoint", clock=SystemClock())
    return tmp_path / "endpoint"


def say(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command and return its status and what it said."""
    status = run(list(arguments))
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("access", "perhaps"), USAGE, "perhaps"),
        (("access", "on", "--for", "soon"), USAGE, "30m"),
        (("access", "on", "--for", "8d"), USAGE, "7d"),
        (("access", "--for", "1h"), USAGE, "needs a mode"),
        (("approve", "x", "--allow", "root"), USAGE, "root"),
        (("refuse", "x", "--reason", "mail ann@example.test"), USAGE, "e-mail"),
        (("requests",), UNREACHABLE, "latch-endpoint run"),
        (("approve", "x"), UNREACHABLE, "latch-endpoint run"),
        (("end", "x"), UNREACHABLE, "latch-endpoint run"),
        (("sessions", "--json"), UNREACHABLE, "latch-endpoint run"),
        (("journal",), FAILED, "no journal yet"),
        (("enroll", "hello"), FAILED, "not an enrolment code"),
        (("enroll", "latch1.AAAA"), FAILED, "garbled"),
        (("enroll", "latch1.AAAA", "--proxy", "ftp://x"), FAILED, "garbled"),
        (("nonsense",), USAGE, "nonsense"),
    ],
)
def test_mistakes(
    capsys: pytest.CaptureFixture[str], data: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    """Each mistake is one line on stderr, nothing on stdout, and the right status."""
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    options = () if arguments == ("nonsense",) else ("--data", str(data))
    ended, out, err = say(capsys, *arguments, *options)
    assert ended == status
    assert out == ""
    assert err.startswith("latch-endpoint: ")
    assert words in err
    assert err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


@pytest.mark.parametrize("command", ["run", "status", "access", "journal", "requests"])
def test_a_directory_that_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str) -> None:
    """A directory that does not exist is named, and not made."""
    ended, out, err = say(capsys, command, "--data", str(tmp_path / "none"))
    assert (ended, out) == (FAILED, "")
    assert str(tmp_path / "none") in err
    assert not (tmp_path / "none").exists()


def test_the_switch_without_an_agent(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """Without an agent the switch is its file."""
    options = ("--data", str(data))
    for mode in ("on", "off", "ask", "off"):
        assert say(capsys, "access", mode, *options)[0] == DONE
        assert say(capsys, "access", *options) == (DONE, f"{mode}\n", "")
    assert not (data / "access.json").exists()
    _, out, _ = say(capsys, "access", "on", "--for", "1h", "--json", *options)
    answer = json.loads(out)
    assert (answer["access"], answer["then"]) == ("on", "off")
    assert answer["until"] is not None


def test_status_without_an_agent(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """Without an agent the status says so, and what is known."""
    _, out, _ = say(capsys, "status", "--json", "--data", str(data))
    answer = json.loads(out)
    assert (answer["running"], answer["connected"], answer["access"]) == (False, False, "ask")
    assert (answer["endpoint"], answer["customer"]) == ("acme-pbx1", "Acme Dental")
    assert "not running" in say(capsys, "status", "--data", str(data))[1]


def write_journal(data: Path) -> None:
    """Write a journal of three statements."""
    directory = open_directory(data)
    identity = load_identity(directory)
    store = JournalStore(
        directory.journal,
        endpoint_id=identity.endpoint_id,
        signer=identity.journal_signer,
        note_signer=identity.journal_note_signer(),
    )
    opening = Opening(b"s" * 32, "cat \x1b[2J/etc/motd")
    granted = SessionGranted(
        session_id=session_id(),
        grant_digest="0" * 64,
        engineer_key="SHA256:" + "A" * 43,
        capabilities=("exec",),
        duration_seconds=60,
        decided_by="customer_cli",
    )
    opened = ChannelOpened(
        session_id=session_id(), channel=1, kind="exec", capability="exec", detail_commitment=opening.commitment()
    )
    store.append(
        [
            item(AgentStarted(version="0.1.0", access="ask")),
            item(granted, offer=make_offer()),
            item(opened, opening=opening),
        ]
    )
    store.close()


def test_journal(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """The journal is read with names and command lines, which cannot draw on the customer's screen."""
    write_journal(data)
    options = ("--data", str(data))
    status, out, _ = say(capsys, "journal", *options)
    assert status == DONE
    assert len(out.splitlines()) == 3
    assert "Ann <ann@example.test>" in out
    assert "cat \\x1b[2J/etc/motd" in out
    assert "\x1b" not in out
    assert len(say(capsys, "journal", "--last", "1", *options)[1].splitlines()) == 1
    assert len(say(capsys, "journal", "--session", "abc", *options)[1].splitlines()) == 2
    document = json.loads(say(capsys, "journal", "--json", *options)[1])
    assert [entry["sequence"] for entry in document["entries"]] == [0, 1, 2]
    assert document["entries"][2]["opening"]["salt"] == "73" * 32
    assert (document["size"], document["acknowledged"]) == (3, 0)


def test_journal_verifies(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """A whole journal is said to be, with its root; a changed one fails."""
    write_journal(data)
    assert say(capsys, "journal", "--verify", "--data", str(data))[0] == DONE
    assert json.loads(say(capsys, "journal", "--verify", "--json", "--data", str(data))[1])["size"] == 3
    database = data / "journal.sqlite3"
    database.write_bytes(database.read_bytes().replace(b"agent.started", b"agent.stopped"))
    status, out, err = say(capsys, "journal", "--verify", "--data", str(data))
    assert (status, out) == (FAILED, "")
    assert "statement 0" in err


@pytest.mark.parametrize("command", ["--help", "access --help", "approve --help", "enroll --help", "journal --help"])
def test_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """Every command explains itself."""
    status, out, err = say(capsys, *command.split())
    assert (status, err) == (DONE, "")
    assert "Usage: latch-endpoint" in out


def test_code_is_asked_for(tmp_path: Path) -> None:
    """At a terminal ``enroll -`` asks for the code and does not show it; one line ends it, without an end of file."""
    program = str(Path(sys.prefix) / "bin" / "latch-endpoint")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(program, [program, "enroll", "-", "--data", str(tmp_path / "endpoint")])  # noqa: S606 - our own program
    printed = b""
    while b"not shown" not in printed:
        printed += os.read(terminal, 4096)
    os.write(terminal, b"hello-there\n")
    while True:
        try:
            printed += os.read(terminal, 4096)
        except OSError:  # a terminal's end of file
            break
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == FAILED
    os.close(terminal)
    assert b"not an enrolment code" in printed
    assert b"hello-there" not in printed


OTHER = 12345


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_works_for_the_owner(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Root's commands work on a directory that is another account's, and leave everything that account's; no advice."""
    for path in (data, *data.iterdir()):
        os.chown(path, OTHER, OTHER)
    for words in (("status",), ("access", "ask"), ("access", "on", "--for", "1h"), ("access", "off", "--for", "1h")):
        status, _, err = say(capsys, *words, "--data", str(data))
        assert (status, err.count("chown")) == (DONE, 0), err
        assert {path.name: path.lstat().st_uid for path in data.iterdir() if path.lstat().st_uid != OTHER} == {}
    assert say(capsys, "access", "--data", str(data))[1] == "off\n"
    status, _, err = say(capsys, "run", "--data", str(data))
    assert status == FAILED
    assert f"belongs to user {OTHER} and we run as 0: run this as that user" in err
    (data / "lock").unlink(missing_ok=True)
    status, _, err = say(capsys, "access", "ask", "--data", str(data))
    assert status == DONE, err
    assert (data / "lock").lstat().st_uid == OTHER


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_kills_nobody_for_the_owner(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A lock file in which its owner names a process of root's does not make root's off kill that process."""
    for path in (data, *data.iterdir()):
        os.chown(path, OTHER, OTHER)
    with subprocess.Popen(["/bin/sleep", "1000"]) as victim, (data / "lock").open("w+") as lock:
        os.chown(data / "lock", OTHER, OTHER)
        lock.write(f"{victim.pid} {start_time_of(victim.pid)}\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, _, err = say(capsys, "access", "off", "--data", str(data))
        assert victim.poll() is None
        victim.kill()
    assert status == DONE, err


def test_nothing_that_others_wrote_begins_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal a long note goes on under its own column, and cannot pass for a row; letters keep their side."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((80, 24)))
    note = "please " + "x" * 62 + " may do sftp_read for 10m " + "y" * 100
    output.print_rows([("note", note), ("may do", "shell"), ("who", "\u05d3\u05d5\u05d3 Levi")])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        lines[0],
        "may do  shell",
        "who     \u2068\u05d3\u05d5\u05d3 Levi\u2069",
    ]
    assert "".join(line.strip() for line in lines[:-2]).replace(" ", "") == f"note{note}".replace(" ", "")
    assert max(map(len, lines)) <= 80


def test_documents_are_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    """What a command line holds cannot draw on the terminal that a document is printed to, and is not lost."""
    nasty = "\x9b2J \u202e \x7f \x1b[2J ä"
    output.print_document({"detail": nasty})
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert all(character.isprintable() or character == "\n" for character in printed)
    assert json.loads(printed) == {"detail": nasty}
