"""Tests of the commands: answers, exit codes, and one line for each mistake."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from latchstring.controller.__main__ import run
from latchstring.controller.addresses import parse_address
from latchstring.controller.cli.options import ROLES
from latchstring.controller.data_directory import BoundAddresses, DataDirectory
from latchstring.protocol.enrolment import parse_enrolment_code
from latchstring.protocol.events import Role

INIT = ["init", "--name", "support.example.test", "--listen", "127.0.0.1:8443"]


class Commands:
    """Runs commands on one data directory."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str, given: bytes = b"") -> tuple[int, str, str]:
        """Run a command, and return its exit code, stdout and stderr."""
        self._monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        self._capsys.readouterr()
        code = run([*arguments, "--data", str(self.path)])
        out, err = self._capsys.readouterr()
        return code, out, err

    def answer(self, *arguments: str, given: bytes = b"") -> str:
        """Run a command that works, and says nothing but its answer."""
        code, out, err = self(*arguments, given=given)
        assert (code, err) == (0, ""), err
        return out

    def line(self, code: int, *arguments: str, given: bytes = b"") -> str:
        """Run a command that fails, and return its one line."""
        actual, out, err = self(*arguments, given=given)
        assert (actual, out) == (code, ""), (actual, out, err)
        assert err.startswith("latch-controller: ")
        assert err.count("\n") == 1
        return err


@pytest.fixture
def empty(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Commands on a directory that does not exist."""
    return Commands(tmp_path / "data", capsys, monkeypatch)


@pytest.fixture
def made(empty: Commands) -> Commands:
    """Commands on a controller with one customer."""
    assert empty.answer(*INIT) == ""
    empty.answer("customer", "add", "Acme Dental")
    return empty


def test_roles() -> None:
    """The command offers exactly the roles that there are."""
    assert set(ROLES) == set(Role)


def test_customers(made: Commands) -> None:
    """Customers are added and listed, for people and for programs."""
    identifier = made.answer("customer", "add", "Bell & Sons").strip()
    document = json.loads(made.answer("customer", "list", "--json"))
    assert {"id": identifier, "name": "Bell & Sons"} in document["customers"]
    lines = made.answer("customer", "list").splitlines()
    assert lines[0].split() == ["ID", "NAME"]
    assert len(lines) == 3


def test_invite(made: Commands) -> None:
    """A code alone is printed; it names where people's listener is, and the root."""
    code = parse_enrolment_code(made.answer("invite", "acme-pbx1", "--customer", "Acme Dental"))
    assert code.address == "127.0.0.1:8443"
    assert json.loads(made.answer("endpoint", "list", "--json")).keys() == {"endpoints"}
    assert made.answer("endpoint", "revoke", "acme-pbx1") == ""


def test_invite_to_a_port_left_to_chance(empty: Commands) -> None:
    """A code names the port that ``serve`` got."""
    empty.answer("init", "--name", "support.example.test", *("--listen", "127.0.0.1:0"))
    empty.answer("customer", "add", "Acme")
    assert "serve" in empty.line(1, "invite", "acme-pbx1", "--customer", "Acme")
    bound = BoundAddresses(*(parse_address(f"127.0.0.1:{port}") for port in (4000, 4001, 4002)))
    DataDirectory(empty.path).write_bound(bound)
    code = parse_enrolment_code(empty.answer("invite", "acme-pbx1", "--customer", "Acme"))
    assert code.address == "127.0.0.1:4000"


def test_users(made: Commands) -> None:
    """A given password is not repeated; a made one is printed alone, once."""
    assert made.answer("user", "add", "ann@example.test", "--role", "engineer", given=b"correct horse battery\n") == ""
    password = made.answer("user", "add", "bob@example.test", "--role", "auditor", "--name", "Bob B.")
    assert len(password.split()) == 1
    assert len(password.strip()) >= 20
    users = json.loads(made.answer("user", "list", "--json"))["users"]
    assert [(user["email"], user["name"], user["role"]) for user in users] == [
        ("ann@example.test", "ann", "engineer"),
        ("bob@example.test", "Bob B.", "auditor"),
    ]
    assert set(users[0]) == {"id", "email", "name", "role", "created_at", "disabled"}


def test_changes_of_users(made: Commands) -> None:
    """An account is disabled, enabled, and given another role and password, which is shown only if it was made."""
    ann = "ann@example.test"
    made.answer("user", "add", ann, "--role", "engineer", given=b"correct horse battery\n")

    def listed() -> tuple[str, bool]:
        (account,) = json.loads(made.answer("user", "list", "--json"))["users"]
        return account["role"], account["disabled"]

    assert listed() == ("engineer", False)
    assert made.answer("user", "disable", ann) == ""
    assert listed() == ("engineer", True)
    assert made.answer("user", "enable", ann) == ""
    assert made.answer("user", "role", ann, "--role", "admin") == ""
    assert listed() == ("admin", False)
    assert made.answer("user", "password", ann, given=b"another horse battery\n") == ""
    assert len(made.answer("user", "password", ann).strip()) >= 20


def test_the_last_admin(made: Commands) -> None:
    """The last administrator is disabled, or made something else, only by who says that this is meant."""
    root = "root@example.test"
    made.answer("user", "add", root, "--role", "admin")
    assert "--even-the-last-admin" in made.line(1, "user", "disable", root)
    assert "--even-the-last-admin" in made.line(1, "user", "role", root, "--role", "auditor")
    assert json.loads(made.answer("user", "list", "--json"))["users"][0]["disabled"] is False
    assert made.answer("user", "role", root, "--role", "auditor", "--even-the-last-admin") == ""
    made.answer("user", "role", root, "--role", "admin")
    assert made.answer("user", "disable", root, "--even-the-last-admin") == ""


def test_fingerprint(made: Commands) -> None:
    """The fingerprint is OpenSSH's style of SHA-256."""
    assert made.answer("fingerprint").startswith("SHA256:")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (INIT, 1, ("already",)),
        (["customer", "add", "Acme Dental"], 1, ("Acme Dental",)),
        (["customer", "add", ""], 2, ("NAME",)),
        (["customer", "add", "two\nlines"], 2, ("NAME",)),
        (["customer", "add"], 2, ("NAME",)),
        (["invite", "acme-pbx1", "--customer", "Nobody"], 1, ("Nobody",)),
        (["invite", "Not_A_Name", "--customer", "Acme Dental"], 2, ("ENDPOINT",)),
        (["invite", "acme-pbx1"], 2, ("--customer",)),
        (["endpoint", "revoke", "no-such"], 1, ("no-such",)),
        (["user", "add", "no-address", "--role", "admin"], 2, ("EMAIL",)),
        (["user", "add", "a@b.test", "--role", "king"], 2, ("king", "engineer")),
        (["user", "add", "a@b.test", "--role", "admin", "--name", "a\u202eb"], 2, ("--name",)),
        (["user", "disable", "no-such@b.test"], 1, ("no-such@b.test",)),
        (["user", "enable", "no-such@b.test"], 1, ("no-such@b.test",)),
        (["user", "password", "no-such@b.test"], 1, ("no-such@b.test",)),
        (["user", "role", "no-such@b.test", "--role", "admin"], 1, ("no-such@b.test",)),
        (["user", "role", "a@b.test"], 2, ("--role",)),
        (["frobnicate"], 2, ("frobnicate",)),
        (["serve", "--tls-cert", "/dev/null"], 2, ("--tls-key",)),
        (["serve", "--tls-cert", "/no/such", "--tls-key", "/no/such"], 2, ("/no/such",)),
    ],
)
def test_mistakes(made: Commands, arguments: list[str], code: int, words: tuple[str, ...]) -> None:
    """Each mistake has its exit code and its line."""
    line = made.line(code, *arguments)
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("given", "code", "word"), [(b"short\n", 1, "12"), (b"\xff\xfe\n", 2, "UTF-8"), (b"x" * 2000 + b"\n", 1, "12")]
)
def test_bad_passwords(made: Commands, given: bytes, code: int, word: str) -> None:
    """A password that cannot be taken makes no account."""
    assert word in made.line(code, "user", "add", "a@b.test", "--role", "admin", given=given)
    assert json.loads(made.answer("user", "list", "--json")) == {"users": []}


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve"],
        ["fingerprint"],
        ["customer", "add", "Acme"],
        ["customer", "list"],
        ["invite", "a", "--customer", "b"],
        ["user", "add", "a@b.test", "--role", "admin"],
        ["user", "list"],
        ["user", "disable", "a@b.test"],
        ["user", "enable", "a@b.test"],
        ["user", "password", "a@b.test"],
        ["user", "role", "a@b.test", "--role", "admin"],
        ["endpoint", "list"],
        ["endpoint", "revoke", "a"],
    ],
)
def test_without_a_controller(empty: Commands, arguments: list[str]) -> None:
    """Every command but ``init`` says that there is no controller, and makes nothing."""
    assert str(empty.path) in empty.line(1, *arguments)
    assert not empty.path.exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--name", "bad name"],
        ["--name", "a.test", "--listen", "everywhere"],
        ["--name", "a.test", "--public-address", "0.0.0.0:1"],
        ["--listen", "127.0.0.1:1"],
    ],
)
def test_bad_init(empty: Commands, options: list[str]) -> None:
    """Wrong options make nothing."""
    empty.line(2, "init", *options)
    assert not empty.path.exists()


def damage_keys(path: Path) -> None:
    """Lose a key."""
    (path / "keys" / "log.key").unlink()


def open_keys(path: Path) -> None:
    """Let others read a key."""
    (path / "keys" / "log.key").chmod(0o644)


def lose_database(path: Path) -> None:
    """Lose the database."""
    (path / "controller.sqlite3").unlink()


def garble_database(path: Path) -> None:
    """Put something else in the database's place."""
    (path / "controller.sqlite3").write_bytes(b"nonsense" * 1000)


def garble_settings(path: Path) -> None:
    """Put something else in the settings' place."""
    (path / "controller.toml").write_text("[")


@pytest.mark.parametrize("verb", [["serve"], ["customer", "add", "Bell"]])
@pytest.mark.parametrize("damage", [damage_keys, open_keys, lose_database, garble_database, garble_settings])
def test_damaged(made: Commands, damage: Any, verb: list[str]) -> None:
    """A directory that lost something is not used; the line names the file."""
    damage(made.path)
    assert str(made.path) in made.line(1, *verb)


def test_help_is_light(tmp_path: Path) -> None:
    """Asking for help imports none of what makes the commands slow, and works without a data directory."""
    code = (
        "import sys; from latchstring.controller.__main__ import run; "
        "assert run(['--help']) == 0; assert run(['user', 'add', '--help']) == 0; "
        "print(sorted({'pydantic', 'sqlalchemy', 'aiohttp', 'cryptography', 'uvloop'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60
    )
    assert done.stdout.endswith("[]\n")
