"""Sockets on which somebody listens whom every account may ask, as D-Bus, systemd and Docker do where they run."""

import fcntl
import socket
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_TURN = Path(tempfile.gettempdir()) / "latchstring-test-doors"


@contextmanager
def listening(doors: Iterable[str]) -> Iterator[None]:
    """Listen at each path at which nobody does yet, and leave nothing behind. Takes root; one test at a time."""
    with ExitStack() as stack:
        turn = stack.enter_context(_TURN.open("w"))
        fcntl.flock(turn, fcntl.LOCK_EX)
        for door in map(Path, doors):
            if not door.exists():
                stack.enter_context(_listening_at(door))
        yield


@contextmanager
def _listening_at(door: Path) -> Iterator[None]:
    missing = [folder for folder in (door.parent, *door.parent.parents) if not folder.exists()]
    door.parent.mkdir(parents=True, exist_ok=True)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(door))
            door.chmod(0o666)
            listener.listen()
            yield
    finally:
        door.unlink(missing_ok=True)
        for folder in missing:
            folder.rmdir()
