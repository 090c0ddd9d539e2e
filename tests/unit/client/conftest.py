"""Fixtures: a controller that answers, a home, and the command run in this process."""

import contextlib
import gc
import io
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from latchstring.certs.identity import create_ssh_key
from latchstring.certs.ssh_public_key import format_public_key
from latchstring.client.__main__ import main
from latchstring.client.home import Home
from unit.client.fake_controller import USER, FakeController
from unit.client.samples import ENDPOINT_ID, SESSION_ID


@dataclass(frozen=True)
class Ran:
    """What a command left: exit code and output."""

    code: int
    out: str
    err: str


Latch = Callable[..., Ran]


@pytest.fixture(scope="session")
def shared_controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeController]:
    """One controller for the whole session; making its keys takes a while."""
    controller = FakeController(tmp_path_factory.mktemp("controller"))
    yield controller
    controller.close()


@pytest.fixture
def controller(shared_controller: FakeController) -> Iterator[FakeController]:
    """The controller, with nothing scripted and nothing asked yet."""
    before = dict(shared_controller.handlers)
    shared_controller.asked.clear()
    yield shared_controller
    shared_controller.handlers = before
    shared_controller.relay = None


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home that does not exist yet, named by the environment; ``HOME`` is a temporary directory too."""
    (tmp_path / "user").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("LATCH_HOME", str(tmp_path / "latch"))
    return Home(tmp_path / "latch")


@pytest.fixture
def latch(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Latch:
    """Run ``latch`` with arguments and standard input, and return what it left."""
    del home

    def run(*arguments: str, given: str = "") -> Ran:
        monkeypatch.setattr(sys, "argv", ["latch", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        capsys.readouterr()
        code = main()
        gc.enable()  # `connect` turns it off
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def logged_in(latch: Latch, controller: FakeController) -> FakeController:
    """A controller that the user has logged in to."""
    ran = latch("login", controller.url, "--user", USER, "--fingerprint", controller.fingerprint, given="secret\n")
    assert ran.code == 0, ran.err
    controller.asked.clear()
    return controller


@pytest.fixture(autouse=True)
def no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no proxy of whoever runs the tests come between."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def full_backlog() -> Iterator[int]:
    """A port on loopback that neither takes a connection nor refuses it, as behind a firewall that drops packets."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])


@pytest.fixture
def certificate(controller: FakeController, tmp_path: Path) -> str:
    """A session certificate."""
    key = create_ssh_key(tmp_path / "engineer")
    return controller.keys.user_ca.issue_user(
        session_id=SESSION_ID,
        endpoint_id=ENDPOINT_ID,
        public_key=format_public_key(key.public_key),
        grant_digest="00" * 32,
    )
