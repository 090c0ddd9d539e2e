"""``latch connect``, as ``ssh`` runs it: a process whose standard output is a socket that takes a descriptor."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import latchstring
from latchstring.client.connect import endpoint_name
from latchstring.client.dial_answer import Dial, refusal
from latchstring.client.errors import ClientError, LoginNeededError, RefusedError, UnreachableError, UsageFaultError
from latchstring.client.home import Home
from latchstring.protocol.api import DialResponse
from latchstring.protocol.dial import Role, Status, parse_preamble, verify_preamble
from latchstring.protocol.problems import ProblemCode, ProblemError
from unit.client.dialling import LATCH, SECONDS, SECRET, dial_response, relay_with
from unit.client.fake_controller import TOKEN, Asked, FakeController
from unit.client.samples import DIAL_ID, SESSION_ID


def run_connect(host: str, output: socket.socket | int) -> subprocess.CompletedProcess[str]:
    """Run the real command with ``output`` as its standard output."""
    return subprocess.run(
        [str(LATCH), "connect", host],
        stdout=output if isinstance(output, int) else output.fileno(),
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def connect(host: str = "acme-pbx1.latch") -> tuple[subprocess.CompletedProcess[str], bytes]:
    """Run the command as ``ssh`` does; return what it left and what the passed socket delivers first."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ran = run_connect(host, theirs)
        theirs.close()
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 2)
        if not descriptors:
            return ran, b""
        with socket.socket(fileno=descriptors[0]) as stream:
            assert stream.getblocking()
            return ran, stream.recv(100)


def test_connection_is_handed_over(logged_in: FakeController, home: Home, certificate: str) -> None:
    """The certificate is written, the ticket proved, and the paired socket passed, from the first byte of SSH on."""
    with relay_with(Status.PAIRED.wire) as relay:
        logged_in.handlers["POST /dials"] = lambda _asked: dial_response(certificate, relay.port)
        ran, first = connect()
        assert (ran.returncode, ran.stderr) == (0, "")
        assert first == b"SSH-2.0-test\r\n"
        unverified = parse_preamble(relay.received)
        verify_preamble(
            unverified, role=Role.ENGINEER, dial_id=DIAL_ID, session_id=SESSION_ID, secret=bytes.fromhex(SECRET)
        )
    assert logged_in.asked == [Asked("POST", "/dials", {}, TOKEN, {"endpoint": "acme-pbx1"})]
    written = home.certificates / "acme-pbx1.latch-cert.pub"
    assert written.read_text() == certificate + "\n"
    assert [path.name for path in home.certificates.iterdir()] == [written.name]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.REFUSED.wire, "the relay refused the ticket"),
        (Status.TIMED_OUT.wire, "the other side did not come"),
        (Status.BUSY.wire, "too many connections"),
        (Status.OTHER_SIDE_LEFT.wire, "left again"),
        (b"", "closed the connection without an answer"),
        (b"S", "not that of a relay"),
    ],
)
def test_relay_that_does_not_pair(logged_in: FakeController, certificate: str, status: bytes, words: str) -> None:
    """What the relay answers instead of a pair is said in one line, and no socket is passed."""
    with relay_with(status) as relay:
        logged_in.handlers["POST /dials"] = lambda _asked: dial_response(certificate, relay.port)
        ran, first = connect()
    assert (ran.returncode, first) == (4, b"")
    assert ran.stderr.startswith("latch: no connection to acme-pbx1: ")
    assert words in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("code", "exit_code", "words"),
    [
        (ProblemCode.NO_LIVE_SESSION, 1, "no open session on acme-pbx1: open one with `latch open acme-pbx1 --purpose"),
        (ProblemCode.UNKNOWN_ENDPOINT, 1, "knows no endpoint 'acme-pbx1'"),
        (ProblemCode.ENDPOINT_OFFLINE, 4, "acme-pbx1 is not connected"),
        (ProblemCode.LOGIN_EXPIRED, 1, "your login has expired"),
        (ProblemCode.WRONG_ROLE, 3, "what it says"),
        (ProblemCode.LOG_UNAVAILABLE, 1, "the controller says: what it says"),
    ],
)
def test_dial_that_is_refused(logged_in: FakeController, code: ProblemCode, exit_code: int, words: str) -> None:
    """What the controller refuses is said in one line that says what to do."""

    def refuse(_asked: Asked) -> Any:
        raise ProblemError(code, "what it\nsays")

    logged_in.handlers["POST /dials"] = refuse
    ran, _ = connect()
    assert ran.returncode == exit_code
    assert words in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b"[" * 5000, b"\xff", b'{"session_id": 1}'])
def test_answer_that_is_not_understood(logged_in: FakeController, answer: bytes) -> None:
    """Garbage from the controller is one line, never a traceback."""
    logged_in.handlers["POST /dials"] = lambda _asked: answer
    ran, _ = connect()
    assert ran.returncode == 4
    assert ran.stderr.startswith("latch: ")
    assert ran.stderr.count("\n") == 1


def test_without_login(home: Home) -> None:
    """Without a login the line says how to get one."""
    ran, _ = connect()
    assert (ran.returncode, ran.stderr) == (1, "latch: you are not logged in: run `latch login URL --user EMAIL`\n")
    assert not home.path.exists()


def test_logged_out(logged_in: FakeController, home: Home) -> None:
    """After a logout the line says to log in, and the controller is not asked."""
    home.store_config(home.read_config().model_copy(update={"token": None}))
    ran, _ = connect()
    assert ran.returncode == 1
    assert "you are logged out" in ran.stderr
    assert logged_in.asked == []


def test_readable_token_is_refused(logged_in: FakeController, home: Home) -> None:
    """A token that others can read is not used."""
    (home.path / "config.json").chmod(0o640)
    ran, _ = connect()
    assert ran.returncode == 1
    assert "chmod 600" in ran.stderr
    assert logged_in.asked == []


@pytest.mark.parametrize("kind", ["pipe", "inet", "file", "closed"])
def test_output_that_takes_no_descriptor(
    kind: str, tmp_path: Path, logged_in: FakeController, certificate: str
) -> None:
    """Started by hand, or without ProxyUseFdpass, it says what is missing, and leaves the relay alone."""
    logged_in.handlers["POST /dials"] = lambda _asked: dial_response(certificate, 1)
    if kind == "closed":
        command = f"{LATCH} connect acme-pbx1 >&-"
        ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=SECONDS, check=False)
    elif kind == "pipe":
        ran = run_connect("acme-pbx1", subprocess.PIPE)
    elif kind == "inet":
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as it:
            ran = run_connect("acme-pbx1", it)
    else:
        descriptor = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
        ran = run_connect("acme-pbx1", descriptor)
        os.close(descriptor)
    assert ran.returncode == 2
    assert "ProxyUseFdpass yes" in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize("host", ["", ".latch", "-a", "a-", "A", "a.b.latch", "a/../b", "a" * 64, "a'b", "é"])
def test_host_that_is_no_endpoint(host: str) -> None:
    """Only names of endpoints are asked for, or become names of files."""
    with pytest.raises(UsageFaultError, match="is not an endpoint"):
        endpoint_name(host)


def test_host() -> None:
    """Both forms of a host name the endpoint."""
    assert endpoint_name("acme-pbx1.latch") == endpoint_name("acme-pbx1") == "acme-pbx1"


def test_only_the_standard_library_is_imported() -> None:
    """The ProxyCommand loads nothing of other people, and none of the heavy parts of the standard library."""
    script = (
        "import sys; before = set(sys.modules)\n"
        "import latchstring.client.__main__, latchstring.client.connect, latchstring.client.relay_way\n"
        "print('\\n'.join(sorted(set(sys.modules) - before)))"
    )
    listed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=SECONDS, check=True
    ).stdout.split()
    tops = {name.split(".")[0] for name in listed}
    assert tops - set(sys.stdlib_module_names) == {"latchstring"}
    assert tops & {"typing", "dataclasses", "inspect", "pathlib", "urllib", "http", "email", "argparse"} == set()
    assert {name for name in listed if name.startswith("latchstring")} == {
        "latchstring",
        "latchstring.client",
        "latchstring.client.__main__",
        "latchstring.client.connect",
        "latchstring.client.dial_answer",
        "latchstring.client.errors",
        "latchstring.client.layout",
        "latchstring.client.lean_https",
        "latchstring.client.relay_way",
        "latchstring.client.tcp",
        "latchstring.protocol",
        "latchstring.protocol.dial",
    }


def test_other_ways_need_only_the_standard_library_too() -> None:
    """What few need, WebSocket and proxies, loads nothing of other people either."""
    script = (
        "import sys; import latchstring.client.websocket_relay, latchstring.client.proxies\n"
        "print('\\n'.join(sorted(sys.modules)))"
    )
    listed = subprocess.run(
        [sys.executable, "-S", "-c", script],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
        env={"PYTHONPATH": str(Path(latchstring.__file__).parent.parent)},
    ).stdout.split()
    assert {name.split(".")[0] for name in listed} - set(sys.stdlib_module_names) == {"latchstring", "__main__"}
    assert {"asyncio", "threading", "urllib.request", "http"}.isdisjoint(listed)


def test_answer_is_checked_like_the_model(certificate: str) -> None:
    """Whatever the API's model takes, the hand-written check takes, and reads the same."""
    response = dial_response(certificate, 7022)
    dial = Dial(response.model_dump(mode="json"))
    assert (dial.session_id, dial.dial_id, dial.certificate) == (SESSION_ID, DIAL_ID, certificate)
    assert (dial.relay_host, dial.relay_port, dial.secret.hex()) == ("localhost", 7022, SECRET)
    assert SECRET not in repr(dial)
    assert set(DialResponse.model_fields) == set(Dial.__slots__)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("session_id", "ses-short"),
        ("session_id", "dia-aaaaaaaaaaaaaaaa"),
        ("session_id", None),
        ("dial_id", "dia-AAAAAAAAAAAAAAAA"),
        ("certificate", "ssh-ed25519 AAAA"),
        ("certificate", "ssh-ed25519-cert-v01@openssh.com "),
        ("certificate", "ssh-ed25519-cert-v01@openssh.com AAAA\n@cert-authority * ssh-ed25519 AAAA"),
        ("certificate", "ssh-ed25519-cert-v01@openssh.com " + "A" * 4000),
        ("relay_host", ""),
        ("relay_host", "a b"),
        ("relay_host", "a" * 254),
        ("relay_port", 0),
        ("relay_port", 65536),
        ("relay_port", True),
        ("relay_port", "22"),
        ("secret", "ab"),
        ("secret", "AB" * 32),
        ("secret", "ab" * 33),
    ],
)
def test_answer_out_of_form(certificate: str, key: str, value: object) -> None:
    """Every field of the answer is checked before anything is made of it."""
    answer = {**dial_response(certificate, 7022).model_dump(mode="json"), key: value}
    with pytest.raises(UnreachableError, match=f"{key} "):
        Dial(answer)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"code": "not_authenticated", "detail": "x"}, LoginNeededError),
        ({"code": "refused", "detail": "x"}, RefusedError),
        ({"code": "unheard_of", "detail": "x"}, ClientError),
        ({"code": 1, "detail": "x"}, UnreachableError),
        ({"code": "refused"}, UnreachableError),
        ("text", UnreachableError),
        (None, UnreachableError),
    ],
)
def test_refusal(answer: object, kind: type[ClientError]) -> None:
    """Problem details become the error of their kind; anything else is not a controller's answer."""
    assert type(refusal(answer, 409, endpoint="acme-pbx1", user="ann@example.test")) is kind
