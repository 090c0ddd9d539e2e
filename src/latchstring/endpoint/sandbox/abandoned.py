"""What an agent that was killed in the middle of a start can leave behind, and its end.

``bwrap`` makes the namespace's first process, ties itself to the agent's life, and then lets that process go on. If the
agent is killed between the last two, the first process waits for ever. It has started nothing and never will, so no
process of a session is concerned; but it stays until somebody ends it.
"""

import contextlib
import os
import signal
from pathlib import Path
from typing import Final

from latchstring.endpoint.sandbox import init

_PROGRAM: Final = "bwrap"


def end_abandoned() -> int:
    """End first processes of ours that wait in vain, whichever agent of this account they are from.

    Returns:
        How many there were.
    """
    ended = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, KeyError, ValueError):
                ended += _end_if_abandoned(entry)
    return ended


def _end_if_abandoned(entry: Path) -> bool:
    watch = os.pidfd_open(int(entry.name))  # first, so that what is looked at is what is ended
    try:
        if not _is_abandoned(entry):
            return False
        signal.pidfd_send_signal(watch, signal.SIGKILL)
    finally:
        os.close(watch)
    return True


def _is_abandoned(entry: Path) -> bool:
    status = dict(line.split(":\t", 1) for line in (entry / "status").read_text().splitlines() if ":\t" in line)
    if status["Name"] != _PROGRAM or status["NSpid"].split()[1:] != ["1"]:
        return False
    if init.__file__.encode() not in (entry / "cmdline").read_bytes().split(b"\0"):
        return False
    # As long as bwrap's outer process lives, it is the parent, and will let its child go on.
    return Path(f"/proc/{status['PPid']}/comm").read_text().strip() != _PROGRAM
