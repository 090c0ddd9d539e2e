"""Limits for all processes of a sandbox together, by control groups (cgroups(7)), of version 2 or 1.

The first process joins before there is another, so all are in. Groups lie below ``latchstring`` in each hierarchy. An
agent that is not root has none, unless somebody lets it write there.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOUNTS: Final = Path("/proc/self/mounts")
_ABOVE: Final = "latchstring"
_PERIOD_MICROSECONDS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What all processes of a sandbox may use together; None is no limit.

    Attributes:
        memory: bytes.
        processes: how many at once.
        cpus: processors, such as 1.5.
    """

    memory: int | None = None
    processes: int | None = None
    cpus: float | None = None


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where control groups are mounted.

    Attributes:
        unified: version 2.
        controllers: version 1, controller to mount point.
    """

    unified: Path | None
    controllers: dict[str, Path]


class ControlGroup:
    """The groups of one sandbox, one in each hierarchy that is needed. Made by :meth:`create`.

    Attributes:
        missing: the limits that could not be set here.
    """

    def __init__(self, folders: list[Path], missing: tuple[str, ...]) -> None:
        self.missing = missing
        self._folders = folders

    @classmethod
    def create(cls, name: str, limits: Limits, hierarchies: Hierarchies) -> "ControlGroup":
        """Make a group with limits, as far as this machine and this account have it."""
        folders: dict[Path, None] = {}
        unified = None if hierarchies.unified is None else _make(hierarchies.unified, name, enable=True)
        if unified is not None:
            folders[unified] = None
        missing = []
        for controller, wanted in _wanted(limits):
            folder, version = unified, 2
            if unified is None or controller not in _controllers(unified):
                point = hierarchies.controllers.get(controller)
                folder, version = (None if point is None else _make(point, name)), 1
            if folder is None or not _set(folder, wanted[version]):
                missing.append(controller)
            else:
                folders[folder] = None
        return cls(list(folders), tuple(missing))

    def add(self, pid: int) -> None:
        """Have a process join, and with it all that it starts from now on.

        Raises:
            OSError: the kernel refuses.
        """
        for folder in self._folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def kill(self) -> None:
        """Send SIGKILL to all that is in, where the kernel can do that in one step."""
        for folder in self._folders:
            with contextlib.suppress(OSError):
                (folder / "cgroup.kill").write_text("1")

    def remove(self) -> bool:
        """Remove the groups, and return whether all are gone: the kernel may see the dead a moment longer."""
        for folder in self._folders:
            with contextlib.suppress(OSError):
                folder.rmdir()
        return not any(folder.exists() for folder in self._folders)


def remove_stale(label: str, hierarchies: Hierarchies) -> None:
    """Remove the groups of sandboxes with this label, which an agent that died has left."""
    points = {*hierarchies.controllers.values(), *([] if hierarchies.unified is None else [hierarchies.unified])}
    for point in points:
        for folder in (point / _ABOVE).glob(f"{label}-*"):
            with contextlib.suppress(OSError):
                folder.rmdir()


def find_hierarchies(text: str) -> Hierarchies:
    """Return where control groups are mounted, by the text of ``/proc/self/mounts``."""
    unified = None
    controllers: dict[str, Path] = {}
    for line in text.splitlines():
        _, point, kind, options, *_ = [*line.split(" "), "", "", "", ""]
        if kind == "cgroup2" and unified is None:
            unified = Path(point)
        elif kind == "cgroup":
            controllers |= dict.fromkeys(set(options.split(",")) & {"memory", "pids", "cpu"}, Path(point))
    return Hierarchies(unified, controllers)


def current_hierarchies() -> Hierarchies:
    """Return where control groups are mounted here."""
    return find_hierarchies(MOUNTS.read_text())


def _wanted(limits: Limits) -> Iterator[tuple[str, dict[int, tuple[str, str]]]]:
    """Yield controller, and by version which file gets which value."""
    if limits.memory is not None:
        memory = str(limits.memory)
        yield "memory", {2: ("memory.max", memory), 1: ("memory.limit_in_bytes", memory)}
    if limits.processes is not None:
        processes = ("pids.max", str(limits.processes))
        yield "pids", {2: processes, 1: processes}
    if limits.cpus is not None:
        quota = int(limits.cpus * _PERIOD_MICROSECONDS)
        yield "cpu", {2: ("cpu.max", f"{quota} {_PERIOD_MICROSECONDS}"), 1: ("cpu.cfs_quota_us", str(quota))}


def _make(point: Path, name: str, *, enable: bool = False) -> Path | None:
    """Make a group below ``latchstring``; None if that is not possible."""
    above = point / _ABOVE
    folder = above / name
    try:
        above.mkdir(exist_ok=True)
        if enable:
            for place in (point, above):
                for controller in _controllers(place):
                    with contextlib.suppress(OSError):
                        (place / "cgroup.subtree_control").write_text(f"+{controller}")
        folder.mkdir(exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder / "cgroup.procs", os.W_OK) else None


def _controllers(folder: Path) -> list[str]:
    try:
        there = (folder / "cgroup.controllers").read_text().split()
    except OSError:
        return []
    return [controller for controller in there if controller in {"memory", "pids", "cpu"}]


def _set(folder: Path, setting: tuple[str, str]) -> bool:
    name, value = setting
    try:
        (folder / name).write_text(value)
    except OSError:
        return False
    return True
