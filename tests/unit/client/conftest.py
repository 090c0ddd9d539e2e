"""Fixtures: a controller that answers, a home, and the command run in this process."""

import gc
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from latchstring.client.__main__ import main
from latchstring.client.home import Home
from unit.client.fake_controller import USER, FakeController


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
