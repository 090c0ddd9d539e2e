"""The whole product against OpenSSH: bulk, time to open, and the cut, with the real programs of all parties.

Each round runs every way in turn, each second round in the opposite order; medians are compared.
"""

import json
import os
import re
import select
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from bench.peers import openssh
from bench.result import Result, format_table
from parties import BIN, ENDPOINT_NAME, Site, wait_until

_BULK_BYTES: Final = 1_000_000_000
_MARKER: Final = "31415.9265"
_CHILDREN: Final = 5
_SESSIONS: Final = 20
_OURS: Final = "ours"
_CHAIN: Final = "ssh -J through ssh -R"
_PLAIN: Final = "plain ssh"
_CIPHER: Final = ("-c", "aes128-gcm@openssh.com")
_MS: Final = 1000.0

Ways = dict[str, list[str]]


def run(*, quick: bool) -> list[Result]:
    """Measure, and return a row for each bound."""
    with tempfile.TemporaryDirectory(prefix="latchstring-bench-") as folder:
        root = Path(folder)
        with _site(root / "site") as site, _ways(root, site) as ways:
            rows = [*_bulk(ways, site, rounds=1 if quick else 5), *_open(ways, site, rounds=5 if quick else 25)]
            rows += _grant(site, rounds=5 if quick else 25)
            return [*rows, *_cut(site, rounds=1 if quick else 5)]


@contextmanager
def _site(root: Path) -> Iterator[Site]:
    """A site with an open session."""
    root.mkdir()
    with Site.running(root) as site:
        site.open_session("--for", "1h")
        yield site


@contextmanager
def _ways(root: Path, site: Site) -> Iterator[Ways]:
    """Yield the command line of each way to reach a shell command, without the command."""
    keys = root / "openssh"
    with ExitStack() as stack:
        port = stack.enter_context(openssh.server(keys))
        tunnel = stack.enter_context(openssh.reverse_tunnel(keys, port))
        yield {
            _OURS: ["ssh", "-F", str(site.ssh_config), *_CIPHER, f"{ENDPOINT_NAME}.latch"],
            _CHAIN: openssh.jump_command(keys, port, tunnel),
            _PLAIN: ["ssh", *openssh.client_options(keys, port), "127.0.0.1"],
        }


def _rounds(ways: Ways, rounds: int, measure: Callable[[list[str]], float]) -> dict[str, float]:
    figures: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in list(ways) if number % 2 else reversed(ways):
            figures[way].append(measure(ways[way]))
    return {way: statistics.median(values) for way, values in figures.items()}


def _timed(command: list[str], site: Site) -> float:
    started = time.monotonic()
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=site.environment(), check=True)
    return time.monotonic() - started


def _bulk(ways: Ways, site: Site, rounds: int) -> list[Result]:
    command = f"head -c {_BULK_BYTES} /dev/zero"
    rates = _rounds(ways, rounds, lambda way: _BULK_BYTES / 1e6 / _timed([*way, command], site))
    return [
        Result(
            name="bulk, 1 GB from the endpoint",
            unit="MB/s",
            measured=rates[_OURS],
            peer_name=peer,
            peer=rates[peer],
            must=must,
            aim=aim,
        )
        for peer, must, aim in ((_CHAIN, 3.0, 4.5), (_PLAIN, 0.65, 0.95))
    ]


def _open(ways: Ways, site: Site, rounds: int) -> list[Result]:
    times = _rounds(ways, rounds, lambda way: _timed([*way, "true"], site) * _MS)
    return [
        Result(
            name="open, ssh … true",
            unit="ms",
            measured=times[_OURS],
            peer_name=_CHAIN,
            peer=times[_CHAIN],
            must=0.4,
            aim=0.2,
            at_most=True,
        ),
        Result(name="open, ssh … true", unit="ms", measured=times[_OURS], peer_name=_PLAIN, peer=times[_PLAIN]),
    ]


def _grant(site: Site, rounds: int) -> list[Result]:
    """Open sessions and use each once: what an engineer waits for, sandbox and both logs included."""
    granted: list[float] = []
    used: list[float] = []
    for _ in range(rounds):
        started = time.monotonic()
        session = site.open("--for", "1h").json()["id"]
        granted.append((time.monotonic() - started) * _MS)
        site.ssh("true")
        used.append((time.monotonic() - started) * _MS)
        site.latch("close", session)
    return [
        Result(name="latch open, to the grant", unit="ms", measured=statistics.median(granted)),
        Result(name="latch open, and ssh … true in it", unit="ms", measured=statistics.median(used)),
    ]


def _cut(site: Site, rounds: int) -> list[Result]:
    """Turn access off under 20 sessions whose children ignore signals; all that ends is timed, from the command on."""
    ends: list[float] = []
    inside: list[float] = []
    for _ in range(rounds):
        site.customer("access", "on")
        ends += _cut_once(site)
        inside.append(_reported_milliseconds(site))
    name = f"access off, {_SESSIONS} sessions: command to last process dead and last byte"
    return [
        Result(name=f"{name}, p99", unit="ms", measured=_percentile(ends, 99), must=250, aim=50, at_most=True),
        Result(name=f"{name}, median", unit="ms", measured=statistics.median(ends)),
        Result(
            name="the slowest kill of those 20, by the journal, median", unit="ms", measured=statistics.median(inside)
        ),
    ]


def _cut_once(site: Site) -> list[float]:
    """Return for each session's process, and for each connection's last byte, when it ended (ms after the command)."""
    stubborn = (
        f"for n in $(seq {_CHILDREN}); do (trap '' HUP INT TERM; setsid sleep {_MARKER} &); done; "
        "trap '' HUP INT TERM; while echo beat; do sleep 0.02; done"
    )
    with ExitStack() as stack:
        listeners = [stack.enter_context(_listening(site, stubborn)) for _ in range(_SESSIONS)]
        pids = wait_until(lambda: _stubborn(_SESSIONS * _CHILDREN), "the children to run", 120)
        descriptors = [os.pidfd_open(pid) for pid in pids]
        deaths: list[float] = []
        watcher = threading.Thread(target=_watch, args=(descriptors, deaths))
        watcher.start()
        started = time.monotonic()
        subprocess.run(
            [str(BIN / "latch-endpoint"), "access", "off", "--data", str(site.endpoint_data)],
            env=site.environment(),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        watcher.join()
        last_bytes = [listener.wait() for listener in listeners]
    return [(moment - started) * _MS for moment in (*deaths, *last_bytes)]


class _Listener:
    """Notes when the last byte of a command's output came."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self._descriptor = process.stdout.fileno()
        assert os.read(self._descriptor, 1)
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while os.read(self._descriptor, 65536):
            self._last = time.monotonic()

    def wait(self) -> float:
        """Wait for the end, and return when the last byte before it came."""
        self._thread.join()
        return self._last


@contextmanager
def _listening(site: Site, command: str) -> Iterator[_Listener]:
    """Open a session, and run the command in it: ssh takes the newest, so each command has one of its own."""
    site.open("--for", "1h")
    arguments = ["ssh", "-F", str(site.ssh_config), "-q", f"{ENDPOINT_NAME}.latch", command]
    with subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # it says that it was cut
        text=True,
        env=site.environment(),
    ) as process:
        try:
            yield _Listener(process)
        finally:
            process.kill()


def _stubborn(count: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if re.fullmatch(rf"sleep\x00{re.escape(_MARKER)}\x00", words.decode(errors="replace")):
                found.append(int(folder.name))
    return found if len(found) == count else []


def _watch(descriptors: list[int], deaths: list[float]) -> None:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    left = set(descriptors)
    while left:
        for descriptor, _ in poll.poll():
            deaths.append(time.monotonic())
            poll.unregister(descriptor)
            os.close(descriptor)
            left.discard(descriptor)


def _reported_milliseconds(site: Site) -> float:
    entries = json.loads(site.customer("journal", "--json").out)["entries"]
    ended = [entry["event"]["kill_milliseconds"] for entry in entries if entry["event"]["type"] == "session.ended"]
    return float(max(ended[-_SESSIONS:]))


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    print(format_table(run(quick="--quick" in sys.argv)))
