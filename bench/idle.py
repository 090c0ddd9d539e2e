"""An endpoint that waits: how much memory it takes, and how often it wakes up, connected to a controller.

Memory is what is resident (VmRSS), the shared libraries included. A wake-up is a voluntary context switch of any of its
threads: it slept, and something woke it. The heartbeats of both sides (``HEARTBEAT_SECONDS``) are expected to: our ping
and its answer, and their ping. The journal's file and its database add nothing while nothing happens.
"""

import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from bench.result import Result, format_table
from latchstring.protocol.messages import HEARTBEAT_SECONDS
from parties import Site

_SETTLE_SECONDS: Final = 5.0
_WAKE_UPS_OF_A_HEARTBEAT: Final = 3
_KIB: Final = 1024


def run(*, quick: bool) -> list[Result]:
    """Measure, and return the rows."""
    seconds = HEARTBEAT_SECONDS * (1 if quick else 6)
    with tempfile.TemporaryDirectory(prefix="latchstring-bench-") as folder, Site.running(Path(folder)) as site:
        assert site.endpoint is not None
        pid = site.endpoint.process.pid
        time.sleep(_SETTLE_SECONDS)
        memory, wake_ups = _resident(pid), _wake_ups_within(pid, seconds)
        session = site.open_session()
        site.ssh("true")
        site.latch("close", session)
        site.wait_for_state(session, "closed")
        time.sleep(_SETTLE_SECONDS)
        later, wake_ups_later = _resident(pid), _wake_ups_within(pid, seconds)
    expected = math.ceil(seconds / HEARTBEAT_SECONDS) * _WAKE_UPS_OF_A_HEARTBEAT
    return [
        Result(name="idle endpoint, resident memory", unit="MiB", measured=memory, must=60, aim=45, at_most=True),
        Result(name="the same after its first session", unit="MiB", measured=later),
        *(
            Result(name=f"wake-ups in {seconds:.0f} s{when}", unit="", measured=count, must=expected, at_most=True)
            for when, count in ((", idle", wake_ups), (", idle after a session", wake_ups_later))
        ),
    ]


def _resident(pid: int) -> float:
    return _field(Path(f"/proc/{pid}/status"), "VmRSS:") / _KIB


def _wake_ups_within(pid: int, seconds: float) -> int:
    before = _wake_ups(pid)
    time.sleep(seconds)
    return _wake_ups(pid) - before


def _wake_ups(pid: int) -> int:
    return sum(_field(task / "status", "voluntary_ctxt_switches:") for task in Path(f"/proc/{pid}/task").iterdir())


def _field(status: Path, name: str) -> int:
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name))


if __name__ == "__main__":
    print(format_table(run(quick="--quick" in sys.argv)))
