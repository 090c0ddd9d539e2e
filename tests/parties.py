"""The real programs of all three parties on loopback, for integration tests.

A :class:`Party` is one program in a process of its own, with its output kept in a file. :class:`Site` sets up a
controller, an endpoint and an engineer, and runs their commands as people do.
"""

import atexit
import contextlib
import functools
import itertools
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BIN = Path(sys.prefix) / "bin"
PASSWORD = "correct horse battery staple"
ENDPOINT_NAME = "acme-pbx1"
CUSTOMER = "Acme Dental"
READY_SECONDS = 30.0
COMMAND_SECONDS = 60.0

AS_ROOT = 'run_as = "root"\n' if os.geteuid() == 0 else ""
"""What a policy has to say where these tests run as root, so that there are sessions."""

_LISTENERS = ("people", "tunnel", "relay")
_FIRST_PORT = 12000
_PORTS_PER_WORKER = 4000
_port_numbers = itertools.count()


def free_port() -> int:
    """Return a port below the ephemeral range that is free now and that no other worker of this run takes."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = _FIRST_PORT + worker * _PORTS_PER_WORKER + (os.getpid() * 7 + next(_port_numbers)) % _PORTS_PER_WORKER
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_until(condition: Callable[[], Any], what: str, seconds: float = READY_SECONDS) -> Any:
    """Return what ``condition`` returns as soon as that is true; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for: {what}")
        time.sleep(0.05)


@dataclass(frozen=True)
class Finished:
    """A command that ended."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """Return the JSON document on stdout."""
        return json.loads(self.out)


class Party:
    """A program that runs until it is stopped; its output is in ``log``."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        self._lines = threading.Condition()
        self._text = ""
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=dict(environment)
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.log.open("ab") as copy, self.process.stdout as output:
            for line in output:
                copy.write(line)
                copy.flush()
                with self._lines:
                    self._text += line.decode(errors="replace")
                    self._lines.notify_all()
        with self._lines:
            self._text += "\0"
            self._lines.notify_all()

    @property
    def text(self) -> str:
        """All output so far."""
        with self._lines:
            return self._text.replace("\0", "")

    def wait_for(self, words: str, seconds: float = READY_SECONDS) -> str:
        """Wait until ``words`` appear in the output."""
        with self._lines:
            self._lines.wait_for(lambda: words in self._text or "\0" in self._text, timeout=seconds)
            assert words in self._text, f"no {words!r} in the output of {self.process.args!r}:\n{self._text}"
            return self._text

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def stop(self) -> int:
        """End it with SIGTERM, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(timeout=READY_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        self._reader.join()
        return self.process.returncode


@dataclass
class Site:
    """A controller, one endpoint, and people."""

    root: Path
    wrapper: tuple[str, ...] = ()
    """Put before the endpoint's and the engineer's programs, such as ``faketime``."""
    endpoint_program: tuple[str, ...] = (str(BIN / "latch-endpoint"),)
    """What runs as ``latch-endpoint``."""
    controller: Party | None = None
    endpoint: Party | None = None
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in _LISTENERS})

    @property
    def controller_data(self) -> Path:
        """The controller's directory."""
        return self.root / "controller"

    @property
    def endpoint_data(self) -> Path:
        """The endpoint's directory."""
        return self.root / "endpoint"

    @property
    def ssh_config(self) -> Path:
        """The engineer's SSH configuration."""
        return self.root / "ssh_config"

    def environment(self, home: str = "engineer") -> dict[str, str]:
        """The environment of one person's commands."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PYTHON") and not name.lower().endswith("_proxy")
        }
        return {
            **inherited,
            "LATCH_HOME": str(self.root / home),
            "HOME": str(self.root / "home"),
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }

    def run(
        self,
        *command: str,
        given: str = "",
        home: str = "engineer",
        status: int | None = 0,
        seconds: float = COMMAND_SECONDS,
    ) -> Finished:
        """Run a command to its end and require its exit status (None: any)."""
        program = shutil.which(command[0], path=self.environment()["PATH"]) or command[0]
        done = subprocess.run(
            [program, *command[1:]],
            input=given,
            capture_output=True,
            text=True,
            env=self.environment(home),
            timeout=seconds,
            check=False,
        )
        finished = Finished(done.returncode, done.stdout, done.stderr)
        assert status is None or finished.status == status, f"{command} ended with {finished.status}: {finished}"
        return finished

    def vendor(self, *arguments: str, **options: Any) -> Finished:
        """Run ``latch-controller``."""
        return self.run("latch-controller", *arguments, "--data", str(self.controller_data), **options)

    def customer(self, *arguments: str, **options: Any) -> Finished:
        """Run ``latch-endpoint``."""
        data = ("--data", str(self.endpoint_data))
        return self.run(*self.wrapper, *self.endpoint_program, *arguments, *data, **options)

    def latch(self, *arguments: str, **options: Any) -> Finished:
        """Run ``latch``."""
        return self.run(*self.wrapper, "latch", *arguments, **options)

    def ssh(self, *arguments: str, **options: Any) -> Finished:
        """Run ``ssh`` into the endpoint."""
        return self.run("ssh", "-F", str(self.ssh_config), f"{ENDPOINT_NAME}.latch", *arguments, **options)

    def initialise(self) -> None:
        """Make the controller, an engineer, an auditor, an administrator and a customer.

        The commands run once in a test process; other sites of it get a copy with ports of their own.
        """
        (self.root / "home").mkdir(exist_ok=True)
        shutil.copytree(_controller_template(), self.controller_data)
        settings = self.controller_data / "controller.toml"
        text = settings.read_text()
        for number, name in enumerate(_LISTENERS, start=1):
            text = text.replace(f'"127.0.0.1:{number}"', f'"127.0.0.1:{self.ports[name]}"')
        settings.write_text(text)

    def start_controller(self) -> Party:
        """Serve, and wait until it is ready."""
        command = [str(BIN / "latch-controller"), "serve", "--data", str(self.controller_data)]
        self.controller = Party(command, self.root / "controller.log", self.environment())
        self.controller.wait_for("ready")
        return self.controller

    def enroll(self) -> None:
        """Invite the endpoint and take up the invitation."""
        code = self.vendor("invite", ENDPOINT_NAME, "--customer", CUSTOMER).out.strip()
        self.customer("enroll", code)
        if AS_ROOT and self.endpoint_data.stat().st_uid == 0:
            policy = self.endpoint_data / "policy.toml"
            policy.write_text(AS_ROOT)
            policy.chmod(0o600)

    def start_endpoint(self, *, online: bool = True) -> Party:
        """Run the endpoint, and wait until it is ready (and connected)."""
        command = [*self.wrapper, *self.endpoint_program, "run", "--data", str(self.endpoint_data)]
        self.endpoint = Party(command, self.root / "endpoint.log", self.environment())
        self.endpoint.wait_for("ready")
        if online:
            self.endpoint.wait_for(" INFO connected to ")
        return self.endpoint

    def endpoint_online(self) -> bool:
        """Tell whether the customer's side says that it is connected."""
        return bool(self.customer("status", "--json").json()["connected"])

    def login(self, email: str = "ann@example.test", home: str = "engineer") -> None:
        """Sign somebody in, and write the SSH configuration of the engineer."""
        fingerprint = self.vendor("fingerprint").out.strip()
        url = f"https://127.0.0.1:{self.ports['people']}"
        self.latch("login", url, "--user", email, "--fingerprint", fingerprint, given=PASSWORD, home=home)
        if home == "engineer":
            self.ssh_config.write_text(self.latch("ssh-config").out)

    def open(self, *arguments: str, **options: Any) -> Finished:
        """Open a session and wait for the decision."""
        return self.latch("open", ENDPOINT_NAME, "--purpose", "maintenance", *arguments, "--json", **options)

    def open_session(self, *arguments: str) -> str:
        """Open a session that the customer's switch grants, and return its id."""
        self.customer("access", "on")
        return str(self.open(*arguments).json()["id"])

    def session(self, session_id: str) -> dict[str, Any]:
        """Return what the controller says of a session."""
        listed = self.latch("sessions", "--json").json()["sessions"]
        return next(item for item in listed if item["id"] == session_id)

    def wait_for_state(self, session_id: str, state: str, seconds: float = READY_SECONDS) -> dict[str, Any]:
        """Wait until the controller says that the session is in ``state``."""
        wait_until(lambda: self._stored_state(session_id) == state, f"{session_id} to be {state}", seconds)
        return self.session(session_id)

    def _stored_state(self, session_id: str) -> str | None:
        """Look into the controller's database: a command in its place would keep a processor busy while we wait."""
        database = f"file:{self.controller_data}/controller.sqlite3?mode=ro"
        with contextlib.closing(sqlite3.connect(database, uri=True, timeout=5)) as connection:
            row = connection.execute("SELECT state FROM sessions WHERE id = ?", (session_id,)).fetchone()
        return None if row is None else str(row[0])

    @contextmanager
    def ssh_running(self, command: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command through ``ssh`` in the background; its output is piped."""
        arguments = ["ssh", "-F", str(self.ssh_config), f"{ENDPOINT_NAME}.latch", command]
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(),
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    @classmethod
    @contextmanager
    def running(cls, root: Path, wrapper: tuple[str, ...] = (), **fields: Any) -> Iterator["Site"]:
        """A site of which controller and endpoint run and the engineer is signed in; access is ``ask``.

        An ordinary one is a copy of one that this test process made before, with its ports, unless those are taken.
        """
        template = _site_template() if (cls, wrapper, fields) == (Site, (), {}) else None
        if template is None or not template.turn.acquire(blocking=False):
            template = None
        site = cls(root, wrapper, **fields)
        try:
            if template is None:
                site.initialise()
            else:
                template.copy_to(site)
            site.start_controller()
            if template is None:
                site.enroll()
            site.start_endpoint()
            if template is None:
                site.login()
            yield site
        finally:
            site.close()
            if template is not None:
                template.turn.release()

    def close(self) -> None:
        """Stop what runs."""
        for party in (self.endpoint, self.controller):
            if party is not None:
                party.stop()


class _SiteTemplate:
    """A site that was enrolled and signed in to once, and does not run. ``turn`` is whose site has its ports."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self._site = Site(Path(tempfile.mkdtemp(prefix="latchstring-template-")))
        atexit.register(shutil.rmtree, self._site.root, ignore_errors=True)
        try:
            self._site.initialise()
            self._site.start_controller()
            self._site.enroll()
            self._site.login()
        finally:
            self._site.close()

    def copy_to(self, site: Site) -> None:
        """Make another site the same."""
        site.ports = dict(self._site.ports)
        for name in ("home", "controller", "endpoint", "engineer"):
            shutil.copytree(self._site.root / name, site.root / name)
        site.ssh_config.write_text(self._site.ssh_config.read_text().replace(str(self._site.root), str(site.root)))


@functools.cache
def _site_template() -> _SiteTemplate:
    return _SiteTemplate()


@functools.cache
def _controller_template() -> Path:
    template = Site(Path(tempfile.mkdtemp(prefix="latchstring-template-")))
    atexit.register(shutil.rmtree, template.root, ignore_errors=True)
    listen = ("--listen", "127.0.0.1:1", "--tunnel-listen", "127.0.0.1:2", "--relay-listen", "127.0.0.1:3")
    template.vendor("init", "--name", "support.example.test", *listen)
    for email, role in (
        ("ann@example.test", "engineer"),
        ("odd@example.test", "auditor"),
        ("root@example.test", "admin"),
    ):
        template.vendor("user", "add", email, "--role", role, given=PASSWORD)
    template.vendor("customer", "add", CUSTOMER)
    return template.controller_data


def processes_with(marker: str) -> list[int]:
    """Return the pids of every process on this machine whose command line has ``marker``."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                words = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in words:
                found.append(int(folder.name))
    return found
