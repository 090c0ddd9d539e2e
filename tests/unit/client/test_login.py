"""Login: whom the client trusts, what it keeps, and that nothing changes when it is refused."""

import io
import os
import stat
from pathlib import Path

import pytest

from latchstring.client.home import Home
from latchstring.protocol.problems import ProblemCode, ProblemError
from unit.client.conftest import Latch
from unit.client.fake_controller import TOKEN, USER, FakeController

WRONG = "SHA256:" + "A" * 43


class Terminal(io.StringIO):
    """Standard input that is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def test_login_keeps_private_files(latch: Latch, controller: FakeController, home: Home) -> None:
    """A login with the right fingerprint keeps token, root, key and host authority where nobody else can read them."""
    ran = latch("login", controller.url, "--user", USER, "--fingerprint", controller.fingerprint, given="secret")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"logged in to support.example.test as {USER} (engineer) until ")
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    for name in ("config.json", "root.pem", "id_ed25519", "known_hosts"):
        assert stat.S_IMODE((home.path / name).stat().st_mode) == 0o600, name
    holders = [path.name for path in home.path.rglob("*") if path.is_file() and TOKEN in path.read_text()]
    assert holders == ["config.json"]
    assert home.read_config().trust == "root"
    assert TOKEN not in repr(home.read_config())


def test_second_login_keeps_the_ssh_key(latch: Latch, logged_in: FakeController, home: Home) -> None:
    """Logging in again needs no fingerprint, since the root is pinned, and keeps the engineer's key."""
    before = (home.path / "id_ed25519").read_bytes()
    ran = latch("login", logged_in.url, "--user", USER, given="secret\n")
    assert ran.code == 0
    assert (home.path / "id_ed25519").read_bytes() == before


@pytest.mark.parametrize(
    "case",
    [
        (["--fingerprint", WRONG], "secret", 1, ("not the SHA256:AAAA", "nothing was changed")),
        (["--fingerprint", "SHA256:short"], "secret", 2, ("is not a fingerprint",)),
        ([], "secret", 1, ("is not known here", "--fingerprint")),
        (["--fingerprint", "RIGHT"], "wrong", 1, ("e-mail address or password is wrong",)),
        (["--fingerprint", "RIGHT"], "", 1, ("no password on standard input",)),
    ],
)
def test_refused_login_changes_nothing(
    latch: Latch, controller: FakeController, home: Home, case: tuple[list[str], str, int, tuple[str, ...]]
) -> None:
    """A login that fails leaves no home, exits with its code, and says why in one line."""
    arguments, given, code, words = case
    arguments = [controller.fingerprint if word == "RIGHT" else word for word in arguments]
    ran = latch("login", controller.url, "--user", USER, *arguments, given=given)
    assert ran.code == code
    assert ran.out == ""
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("latch: ")
    assert all(word in ran.err for word in words), ran.err
    assert not home.path.exists()


def test_no_password_goes_to_an_unconfirmed_root(latch: Latch, controller: FakeController) -> None:
    """Over the connection that trusts anyone only the root is asked for."""
    latch("login", controller.url, "--user", USER, "--fingerprint", WRONG, given="secret")
    assert [f"{asked.method} {asked.path}" for asked in controller.asked] == ["GET /root"]


@pytest.mark.parametrize(("said", "code"), [("yes\n", 0), ("y\n", 1), ("\n", 1), ("", 1)])
def test_terminal_is_asked(
    latch: Latch, controller: FakeController, monkeypatch: pytest.MonkeyPatch, said: str, code: int
) -> None:
    """On a terminal the fingerprint is shown, and only the word yes is taken."""
    monkeypatch.setattr(io, "StringIO", Terminal)
    monkeypatch.setattr("getpass.getpass", lambda *_args, **_named: "secret")
    ran = latch("login", controller.url, "--user", USER, given=said)
    assert ran.code == code
    assert controller.fingerprint in ran.err


def test_changed_root_is_refused(latch: Latch, logged_in: FakeController, home: Home, tmp_path: Path) -> None:
    """Another root at the same address is refused, unless its fingerprint is given."""
    before = (home.path / "config.json").read_bytes()
    other = FakeController(tmp_path / "other")
    try:
        logged_in.handlers["GET /root"] = other.handlers["GET /root"]
        ran = latch("login", logged_in.url, "--user", USER, given="secret")
        assert (ran.code, ran.out) == (1, "")
        assert "has changed to " + other.fingerprint in ran.err
        assert (home.path / "config.json").read_bytes() == before
        # The listener still proves itself by the old root, so the new fingerprint alone is not enough either.
        ran = latch("login", logged_in.url, "--user", USER, "--fingerprint", other.fingerprint, given="secret")
        assert ran.code == 1
        assert "is issued neither" in ran.err
    finally:
        other.close()


def test_controller_of_another_root_is_refused_later(
    latch: Latch, logged_in: FakeController, home: Home, tmp_path: Path
) -> None:
    """After login the pinned root is all that is trusted."""
    other = FakeController(tmp_path / "other")
    try:
        config = home.read_config()
        home.store_config(config.model_copy(update={"port": other.port}))
        ran = latch("endpoints")
        assert ran.code == 1
        assert "does not prove that it is the one" in ran.err
        assert other.asked == []
    finally:
        other.close()
    assert logged_in.asked == []


def test_public_certificate_needs_the_system(
    latch: Latch, controller: FakeController, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener whose certificate comes from elsewhere is trusted by the system's authorities; the root is checked."""
    public = FakeController(tmp_path / "public")
    try:
        authorities = tmp_path / "authorities.pem"
        authorities.write_bytes(public.keys.x509.root_pem())
        public.handlers["GET /root"] = controller.handlers["GET /root"]
        monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nothing"))
        ran = latch("login", public.url, "--user", USER, "--fingerprint", public.fingerprint, given="secret")
        assert ran.code == 1
        ran = latch("login", public.url, "--user", USER, "--fingerprint", controller.fingerprint, given="secret")
        assert ran.code == 0, ran.err
        assert home.read_config().trust == "system"
        assert home.read_config().root_fingerprint == controller.fingerprint
    finally:
        public.close()


def test_logout_forgets_the_token(latch: Latch, logged_in: FakeController, home: Home) -> None:
    """Logging out gives the token back and forgets it; what comes after says to log in."""
    logged_in.handlers["POST /logout"] = lambda _asked: b""
    assert latch("logout").code == 0
    assert [asked.token for asked in logged_in.asked] == [TOKEN]
    assert home.read_config().token is None
    ran = latch("endpoints")
    assert ran.code == 1
    assert "latch login" in ran.err
    assert latch("logout").code == 1


def test_logout_without_controller_still_forgets(latch: Latch, logged_in: FakeController, home: Home) -> None:
    """The token is forgotten here even if the controller cannot be told, and the exit code says that it was not."""
    home.store_config(home.read_config().model_copy(update={"port": 1}))
    assert latch("logout").code == 4
    assert home.read_config().token is None
    assert logged_in.asked == []


@pytest.mark.parametrize("code", [ProblemCode.LOGIN_EXPIRED, ProblemCode.NOT_AUTHENTICATED])
def test_expired_login_says_what_to_do(latch: Latch, logged_in: FakeController, code: ProblemCode) -> None:
    """A token that the controller no longer takes ends in the command that gets a new one."""

    def refuse(_asked: object) -> None:
        raise ProblemError(code, "no")

    logged_in.handlers["GET /endpoints"] = refuse
    ran = latch("endpoints")
    assert ran.code == 1
    assert f"latch login {logged_in.url} --user {USER}" in ran.err


def test_status_shows_no_token(latch: Latch, logged_in: FakeController) -> None:
    """What is said about the login never shows the token."""
    for arguments in ([], ["--json"]):
        ran = latch("status", *arguments)
        assert ran.code == 0
        assert logged_in.fingerprint in ran.out
        assert TOKEN not in ran.out


@pytest.mark.parametrize("name", ["config.json", "root.pem"])
def test_readable_login_is_refused(latch: Latch, logged_in: FakeController, home: Home, name: str) -> None:
    """A login that others can read is not used."""
    os.chmod(home.path / name, 0o644)  # noqa: PTH101 - as a careless copy would
    ran = latch("endpoints")
    assert ran.code == 1
    assert "chmod 600" in ran.err
    assert logged_in.asked == []


def test_damaged_login_is_named(latch: Latch, logged_in: FakeController, home: Home) -> None:
    """A login that cannot be read says so and what to do."""
    (home.path / "config.json").write_text("{}")
    ran = latch("endpoints")
    assert ran.code == 1
    assert "is damaged" in ran.err
    assert logged_in.asked == []
