"""How long ``latch connect`` takes from its start to its first packet: the bar is 120 ms, the aim 60 ms.

``ssh`` runs it for every connection, so it is the part of opening that our own start-up adds. A listening socket notes
when the first byte of the TLS handshake comes in. The time includes the start of Python, as people have it.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.result import Result, format_table
from latchstring.certs.controller_keys import create

MUST_MILLISECONDS = 120.0
AIM_MILLISECONDS = 60.0
RUNS = 40
QUICK_RUNS = 8
WARM_UP_RUNS = 3
SECONDS = 20.0
LATCH = Path(sys.prefix) / "bin" / "latch"


def run(*, quick: bool = False) -> list[Result]:
    """Measure, and return one row; its figure is the median of many runs."""
    with tempfile.TemporaryDirectory() as directory, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)
        home = Path(directory) / "latch"
        _write_login(home, Path(directory), listener.getsockname()[1])
        runs = QUICK_RUNS if quick else RUNS
        times = [_measure(home, listener) for _ in range(WARM_UP_RUNS + runs)][WARM_UP_RUNS:]
    return [
        Result(
            name="latch connect: start to first packet",
            unit="ms",
            measured=statistics.median(times) * 1000,
            must=MUST_MILLISECONDS,
            aim=AIM_MILLISECONDS,
            at_most=True,
        )
    ]


def _measure(home: Path, listener: socket.socket) -> float:
    """Return the seconds from the start of one process to the first byte that it sends."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        environment = {**os.environ, "LATCH_HOME": str(home)}
        started = time.perf_counter()
        with subprocess.Popen(
            [LATCH, "connect", "acme-pbx1.latch"], stdout=theirs.fileno(), stderr=subprocess.DEVNULL, env=environment
        ) as process:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(SECONDS)
                connection.recv(1)
                elapsed = time.perf_counter() - started
            process.wait(SECONDS)
    return elapsed


def _write_login(home: Path, directory: Path, port: int) -> None:
    """Write what ``latch connect`` reads of a login, with the root of a controller that nobody runs."""
    keys = create(directory / "keys", "bench.example.test", datetime.now(UTC))
    login = {"host": "127.0.0.1", "port": port, "user": "bench@example.test", "token": "bench", "trust": "root"}
    (home / "certs").mkdir(parents=True)
    for name, content in (("config.json", json.dumps(login).encode()), ("root.pem", keys.x509.root_pem())):
        (home / name).write_bytes(content)
        (home / name).chmod(0o600)


if __name__ == "__main__":
    print(format_table(run(quick="--quick" in sys.argv)))
