"""Bad input at each command: one clear line, the right exit status, nothing changed."""

import socket
from pathlib import Path

import pytest

from parties import BIN, CUSTOMER, ENDPOINT_NAME, Finished, Site, wait_until

DONE, FAILED, USAGE, REFUSED, UNREACHABLE = range(5)


def one_line(done: Finished, *words: str) -> None:
    """Require one clear line on stderr, nothing on stdout, no traceback."""
    assert done.out == ""
    assert "Traceback" not in done.err
    lines = [line for line in done.err.splitlines() if line and not line.startswith(("Usage:", "Try "))]
    assert len(lines) == 1, done.err
    for word in words:
        assert word in lines[0], lines


@pytest.fixture
def idle(tmp_path: Path) -> Site:
    """A controller that was initialised and does not run."""
    site = Site(tmp_path)
    site.initialise()
    return site


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("open", "no-such", "--purpose", "maintenance"), FAILED, ("no-such",)),
        (("open", "NO_SUCH", "--purpose", "maintenance"), USAGE, ("NO_SUCH",)),
        (("open", ENDPOINT_NAME, "--purpose", "curiosity"), USAGE, ("curiosity",)),
        (("open", ENDPOINT_NAME, "--purpose", "support_request"), USAGE, ("ticket",)),
        (("open", ENDPOINT_NAME, "--purpose", "maintenance", "--for", "soon"), USAGE, ("soon", "30m")),
        (("open", ENDPOINT_NAME, "--purpose", "maintenance", "--for", "99d"), USAGE, ("7d",)),
        (("open", ENDPOINT_NAME, "--purpose", "maintenance", "--allow", "root"), USAGE, ("root", "shell")),
        (("open", ENDPOINT_NAME, "--purpose", "maintenance", "--note", "call +49 170 1234567"), USAGE, ("phone",)),
        (("open", ENDPOINT_NAME, "--purpose", "maintenance", "--note", "mail jane@example.test"), USAGE, ("e-mail",)),
        (("open", ENDPOINT_NAME, "--purpose", "maintenance", "--note", "4111 1111 1111 1111"), USAGE, ("card",)),
        (("open", ENDPOINT_NAME, "--purpose", "maintenance", "--note", "x" * 201), USAGE, ("200",)),
        (("open", ENDPOINT_NAME, "--purpose", "maintenance", "--ticket", "two words"), USAGE, ("ticket",)),
        (("close", "ses-aaaaaaaaaaaaaaaa"), FAILED, ("ses-aaaaaaaaaaaaaaaa",)),
        (("connect", ENDPOINT_NAME + ".latch"), None, ("no open session", "latch open")),
        (("audit", "list"), REFUSED, ("auditor",)),
    ],
)
def test_engineer(closed_site: Site, arguments: tuple[str, ...], status: int | None, words: tuple[str, ...]) -> None:
    """Each mistake of an engineer gets its line and status."""
    before = len(closed_site.latch("sessions", "--json").json()["sessions"])
    one_line(closed_site.latch(*arguments, status=status), *words)
    assert len(closed_site.latch("sessions", "--json").json()["sessions"]) == before


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("approve", "ses-aaaaaaaaaaaaaaaa"), FAILED, ("ses-aaaaaaaaaaaaaaaa",)),
        (("refuse", "ses-aaaaaaaaaaaaaaaa"), FAILED, ("ses-aaaaaaaaaaaaaaaa",)),
        (("end", "ses-aaaaaaaaaaaaaaaa"), FAILED, ("ses-aaaaaaaaaaaaaaaa",)),
        (("access", "perhaps"), USAGE, ("perhaps",)),
        (("access", "on", "--for", "soon"), USAGE, ("soon",)),
        (("enroll", "latch1.AAAA"), FAILED, ("garbled",)),
        (("enroll", "hello"), FAILED, ("not an enrolment code",)),
    ],
)
def test_customer(closed_site: Site, arguments: tuple[str, ...], status: int, words: tuple[str, ...]) -> None:
    """Each mistake of a customer gets its line and status."""
    one_line(closed_site.customer(*arguments, status=status), *words)


def test_auditor_cannot_open(closed_site: Site) -> None:
    """An auditor reads, and opens nothing: exit status 3."""
    closed_site.login("odd@example.test", home="auditor")
    one_line(closed_site.open(home="auditor", status=REFUSED), "engineer")


def test_used_code(closed_site: Site, tmp_path: Path) -> None:
    """A code works once."""
    code = closed_site.vendor("invite", "acme-pbx2", "--customer", CUSTOMER).out.strip()
    closed_site.run("latch-endpoint", "enroll", code, "--data", str(tmp_path / "one"))
    refused = closed_site.run("latch-endpoint", "enroll", code, "--data", str(tmp_path / "two"), status=FAILED)
    one_line(refused, "used")
    assert not (tmp_path / "two").exists()


def test_replaced_code_is_wrong(closed_site: Site, tmp_path: Path) -> None:
    """A code that a newer one replaced enrols nobody."""
    old = closed_site.vendor("invite", "acme-pbx3", "--customer", CUSTOMER).out.strip()
    one_line(closed_site.vendor("invite", "acme-pbx3", "--customer", CUSTOMER, status=FAILED), "acme-pbx3", "taken")
    new = closed_site.vendor("invite", "acme-pbx3", "--customer", CUSTOMER, "--replace").out.strip()
    one_line(closed_site.run("latch-endpoint", "enroll", old, "--data", str(tmp_path / "one"), status=FAILED))
    closed_site.run("latch-endpoint", "enroll", new, "--data", str(tmp_path / "one"))


def test_already_enrolled(closed_site: Site) -> None:
    """An endpoint that is enrolled is not enrolled again over its keys."""
    code = closed_site.vendor("invite", "acme-pbx4", "--customer", CUSTOMER).out.strip()
    one_line(closed_site.customer("enroll", code, status=FAILED), "enrolled")


def test_name_taken_and_unknown_customer(closed_site: Site) -> None:
    """A name that is taken and a customer that does not exist are named."""
    one_line(closed_site.vendor("invite", ENDPOINT_NAME, "--customer", CUSTOMER, status=FAILED), ENDPOINT_NAME, "taken")
    one_line(closed_site.vendor("invite", "acme-pbx9", "--customer", "Nobody", status=FAILED), "Nobody")
    one_line(closed_site.vendor("customer", "add", CUSTOMER, status=FAILED), CUSTOMER)


def test_wrong_password_and_fingerprint(closed_site: Site) -> None:
    """A wrong password and a wrong fingerprint each say so, and leave no sign-in behind."""
    url = f"https://127.0.0.1:{closed_site.ports['people']}"
    right = closed_site.vendor("fingerprint").out.strip()
    wrong = "SHA256:" + "A" * 43
    options = ("--user", "ann@example.test", "--fingerprint")
    one_line(closed_site.latch("login", url, *options, right, given="wrong", home="other", status=FAILED), "password")
    one_line(closed_site.latch("login", url, *options, wrong, given="x", home="other", status=FAILED), "fingerprint")
    unknown = closed_site.latch("login", url, "--user", "ann@example.test", given="x", home="other", status=None)
    assert unknown.status in (FAILED, USAGE)
    assert right in unknown.err
    assert not (closed_site.root / "other" / "config.json").exists()


def test_not_signed_in(closed_site: Site) -> None:
    """Without a sign-in every command says how to sign in."""
    for arguments in (("endpoints",), ("sessions",), ("open", ENDPOINT_NAME, "--purpose", "maintenance")):
        one_line(closed_site.latch(*arguments, home="nobody", status=FAILED), "latch login")


def test_endpoint_offline(site: Site) -> None:
    """A session on an endpoint that is not connected is refused at once, with exit status 4."""
    assert site.endpoint is not None
    site.endpoint.stop()
    wait_until(lambda: not site.latch("endpoints", "--json").json()["endpoints"][0]["online"], "it to be offline")
    one_line(site.open(status=UNREACHABLE), ENDPOINT_NAME, "not connected")
    one_line(site.customer("requests", status=UNREACHABLE), "latch-endpoint run")


def test_controller_down(site: Site) -> None:
    """With the controller down the engineer is told so, with exit status 4."""
    assert site.controller is not None
    site.controller.stop()
    one_line(site.open(status=UNREACHABLE), "127.0.0.1")
    one_line(site.latch("endpoints", status=UNREACHABLE), "127.0.0.1")


@pytest.mark.parametrize("program", ["latch-controller", "latch-endpoint"])
@pytest.mark.parametrize("kind", ["missing", "foreign", "file"])
def test_data_directory(tmp_path: Path, program: str, kind: str) -> None:
    """A data directory that is missing, not ours, or no directory is named, and left as it was."""
    site = Site(tmp_path)
    data = tmp_path / "data"
    if kind == "foreign":
        data.mkdir()
        (data / "something").write_text("else")
    elif kind == "file":
        data.write_text("no directory")
    verb = "serve" if program == "latch-controller" else "run"
    one_line(site.run(program, verb, "--data", str(data), status=FAILED), str(data))
    assert data.exists() == (kind != "missing")
    assert kind != "foreign" or [path.name for path in data.iterdir()] == ["something"]


def test_wrong_party(idle: Site) -> None:
    """A controller's directory is not an endpoint's."""
    one_line(idle.run("latch-endpoint", "run", "--data", str(idle.controller_data), status=FAILED), "latch-controller")


def test_init_twice(idle: Site) -> None:
    """An initialised directory is never initialised again over its keys."""
    keys = {path: path.read_bytes() for path in idle.controller_data.rglob("*.key")}
    assert keys
    again = idle.vendor("init", "--name", "other.example.test", "--listen", "127.0.0.1:1", status=None)
    assert again.status in (FAILED, USAGE)
    assert {path: path.read_bytes() for path in idle.controller_data.rglob("*.key")} == keys


def test_port_taken(idle: Site) -> None:
    """A port that is taken is named."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", idle.ports["tunnel"]))
        taken.listen()
        one_line(idle.vendor("serve", status=FAILED), str(idle.ports["tunnel"]))


def test_private_files(idle: Site) -> None:
    """Every file that the controller made for itself is its owner's alone."""
    assert idle.controller_data.stat().st_mode & 0o777 == 0o700
    for path in idle.controller_data.rglob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_generated_password_is_shown_once(idle: Site) -> None:
    """Without a password on stdin one is made, shown alone on stdout, and kept nowhere."""
    made = idle.vendor("user", "add", "new@example.test", "--role", "engineer")
    password = made.out.strip()
    assert len(password) >= 16
    assert " " not in made.out.strip()
    for path in idle.controller_data.rglob("*"):
        assert not path.is_file() or password.encode() not in path.read_bytes()


@pytest.mark.parametrize("program", ["latch", "latch-controller", "latch-endpoint"])
def test_help_and_version(program: str, tmp_path: Path) -> None:
    """Every program explains itself and says its version."""
    site = Site(tmp_path)
    assert "Usage" in site.run(str(BIN / program), "--help").out
    assert "0.1" in site.run(str(BIN / program), "--version").out
    assert site.run(str(BIN / program), "no-such-command", status=USAGE).out == ""
