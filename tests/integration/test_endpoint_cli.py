"""The agent as a process of its own, without its controller: what the customer can do with it all the same."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from enrolling_controller import enrolling_controller
from latchstring.endpoint.clock import SystemClock
from latchstring.endpoint.enrol import enrol
from parties import BIN, Finished, Party, wait_until

DONE, FAILED, USAGE, REFUSED, UNREACHABLE = range(5)


@dataclass
class Machine:
    """A customer's machine whose controller is gone."""

    data: Path
    agents: list[Party] = field(default_factory=list)

    def run(self, *arguments: str) -> Finished:
        """Run a command."""
        command = [str(BIN / "latch-endpoint"), *arguments, "--data", str(self.data)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return Finished(done.returncode, done.stdout, done.stderr)

    def start(self) -> Party:
        """Start the agent."""
        command = [str(BIN / "latch-endpoint"), "run", "--data", str(self.data)]
        agent = Party(command, self.data.with_suffix(".log"), os.environ)
        self.agents.append(agent)
        agent.wait_for("ready")
        return agent

    def events(self) -> list[str]:
        """Return what is in the journal, by type."""
        return [entry["event"]["type"] for entry in self.run("journal", "--json").json()["entries"]]


@pytest.fixture
async def enrolled(tmp_path: Path) -> Path:
    """The data directory of an endpoint."""
    async with enrolling_controller(tmp_path / "controller") as controller:
        await enrol(controller.code, tmp_path / "endpoint", clock=SystemClock())
    return tmp_path / "endpoint"


@pytest.fixture
def machine(enrolled: Path) -> Iterator[Machine]:
    """A machine; what was started on it is stopped in the end."""
    machine = Machine(enrolled)
    yield machine
    for agent in machine.agents:
        if agent.process.poll() is None:
            agent.process.send_signal(signal.SIGCONT)
            agent.stop()


def test_a_day_without_a_controller(machine: Machine) -> None:
    """The agent is ready without its controller, says why it is not connected, moves its switch, and stops in order."""
    agent = machine.start()
    wait_until(lambda: machine.run("status", "--json").json()["connection_problem"], "the first failure")
    assert "not connected" in machine.run("status").out
    assert machine.run("access").out == "ask\n"
    assert machine.run("access", "on").status == DONE
    assert json.loads(machine.run("requests", "--json").out) == {"requests": []}
    assert machine.run("access", "off").out.startswith("access is off: 0 sessions ended, 0 processes left")
    second = machine.run("run")
    assert (second.status, second.out) == (FAILED, "")
    assert f"pid {agent.process.pid}" in second.err
    assert agent.stop() == 0
    assert agent.text.count("latch-endpoint: ready") == 1
    assert "Traceback" not in agent.text
    assert machine.events() == ["agent.started", "access.changed", "access.changed", "agent.stopped"]
    assert machine.run("journal", "--verify").status == DONE
    assert sorted(path.name for path in machine.data.glob("*.sock")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_in_order(machine: Machine, number: signal.Signals) -> None:
    """Both signals that ask for an end get one in order, with status 0."""
    agent = machine.start()
    agent.process.send_signal(number)
    assert agent.process.wait(20) == 0
    assert machine.events()[-1] == "agent.stopped"


def test_killed_and_back(machine: Machine) -> None:
    """An agent that was killed starts again beside its old socket, and its journal goes on without a gap."""
    machine.start().kill()
    assert machine.run("access").out == "ask\n"
    refused = machine.run("requests")
    assert (refused.status, refused.out) == (UNREACHABLE, "")
    assert "latch-endpoint run" in refused.err
    machine.start()
    assert machine.events() == ["agent.started", "agent.started"]
    assert machine.run("journal", "--verify").status == DONE


def test_off_on_an_agent_that_hangs(machine: Machine) -> None:
    """An agent that was stopped by a signal is killed by off, quickly, and off stays."""
    agent = machine.start()
    agent.process.send_signal(signal.SIGSTOP)
    off = machine.run("access", "off")
    assert off.status == DONE
    assert "killed" in off.out
    assert agent.process.wait(5) == -signal.SIGKILL
    assert machine.run("access").out == "off\n"
    assert "access is off" in machine.start().text


def test_removed_by_hand(machine: Machine) -> None:
    """Removing the switch's file turns a running agent off, and its journal says so."""
    machine.start()
    (machine.data / "access.json").unlink()
    wait_until(lambda: "access.changed" in machine.events(), "the agent to notice")
    assert machine.run("status", "--json").json()["access"] == "off"


@pytest.mark.parametrize(
    ("policy", "commands", "mode", "moved"),
    [("on", [], "on", ["policy"]), ("off", [], "off", ["policy"]), ("on", ["off"], "off", []), ("ask", [], "ask", [])],
)
def test_the_policys_access_is_for_the_first_start(
    machine: Machine, policy: str, commands: list[str], mode: str, moved: list[str]
) -> None:
    """At its first start the switch is where the policy says, unless the customer has moved it; the journal says so."""
    (machine.data / "policy.toml").write_text(f'access = "{policy}"\n')
    for command in commands:
        machine.run("access", command)
    machine.start()
    assert machine.run("access").out == f"{mode}\n"
    events = [entry["event"] for entry in json.loads(machine.run("journal", "--json").out)["entries"]]
    assert [event["by"] for event in events if event["type"] == "access.changed"] == moved


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("policy.toml", "max_session = 3\n", ("policy.toml, line 1", "max_session")),
        ("endpoint.toml", "proxy = 'ftp://x'\n", ("endpoint.toml, line 1", "proxy")),
        ("endpoint.toml", "relay = 'host'\n", ("endpoint.toml, line 1", "relay")),
        ("enrolment.json", "{}", ("enrolment.json", "damaged")),
        ("journal.key", "x", ("journal.key",)),
        ("ssh_host_key", "x", ("ssh_host_key",)),
    ],
)
def test_what_cannot_be_meant_does_not_start(machine: Machine, name: str, text: str, words: tuple[str, ...]) -> None:
    """A file that cannot be meant keeps the agent from starting, with one line that names it."""
    (machine.data / name).write_text(text)
    refused = machine.run("run")
    assert (refused.status, refused.out) == (FAILED, "")
    assert refused.err.count("\n") == 1
    for word in words:
        assert word in refused.err


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_sessions_as_root_are_warned_of(machine: Machine) -> None:
    """An agent that is root opens nothing before the policy names an account, and warns if that is root too."""
    agent = machine.start()
    assert "no session can be opened: the policy does not say whose account" in agent.text
    status = machine.run("status", "--json").json()
    assert status["sessions_run_as"] is None
    assert "run_as" in status["sandbox_problem"]
    agent.stop()
    (machine.data / "policy.toml").write_text('run_as = "root"\n')
    agent = machine.start()
    assert agent.text.count("WARNING sessions run as root") == 1
    assert "run_as" in agent.text
    assert machine.run("status", "--json").json()["sessions_run_as"] == "root"
    assert "run as" in machine.run("status").out
    agent.stop()
    (machine.data / "policy.toml").write_text('run_as = "nobody"\n')
    machine.data.parent.chmod(0o777)
    agent = machine.start()
    assert "sessions run as root" not in agent.text
    assert agent.text.count("WARNING sessions run as nobody, who can write to") == 1
    assert machine.run("status", "--json").json()["sessions_run_as"] == "nobody"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_another_user(machine: Machine) -> None:
    """Another user of the machine can neither see nor move anything."""
    machine.start()
    for path in [machine.data, *machine.data.parents]:
        if path.stat().st_uid == 0 and path != machine.data and path.is_relative_to("/tmp/pytest-of-root"):
            path.chmod(path.stat().st_mode | 0o011)
    command = ["setpriv", "--reuid=65534", "--clear-groups", str(BIN / "latch-endpoint")]
    for arguments in (["access", "on"], ["status"], ["requests"]):
        done = subprocess.run(
            [*command, *arguments, "--data", str(machine.data)], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == FAILED
        assert "Traceback" not in done.stderr
    assert machine.run("access").out == "ask\n"
