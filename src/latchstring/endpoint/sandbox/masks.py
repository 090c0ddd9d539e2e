"""Which places of the file system have to be hidden, so that a path's contents cannot be reached.

A path is hidden where its symbolic links lead, and wherever else the same directory or file can be reached through
another mount: a bind mount, or a second mount of the same file system (proc(5), ``mountinfo``). So is what is mounted
below it. What the kernel shows of itself and of all processes is hidden wherever it is mounted a second time.
"""

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOUNTS: Final = Path("/proc/self/mountinfo")
_KERNELS_OWN: Final = frozenset(
    {
        "binder",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "proc",
        "pstore",
        "securityfs",
        "sysfs",
        "tracefs",
    }
)
_USUAL_PLACES: Final = tuple(map(Path, ("/dev", "/proc", "/sys")))
"""Where a sandbox has its own, or has it read-only."""
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of ``mountinfo``: which part of which file system is where.

    Attributes:
        device: of the file system, ``major:minor``.
        root: which of its directories is mounted.
        point: where.
        kind: of the file system, such as ``ext4``.
    """

    device: str
    root: Path
    point: Path
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Masks:
    """What is to be hidden, resolved, and what is not there yet.

    Attributes:
        directories: to be hidden under an empty one.
        files: to be hidden under an empty one.
        missing: as they were written.
    """

    directories: tuple[Path, ...]
    files: tuple[Path, ...]
    missing: tuple[Path, ...]


def find_masks(paths: Iterable[Path], mounts: Iterable[Mount]) -> Masks:
    """Return what hides ``paths``, as the file system is now."""
    table = MountTable(mounts)
    directories: set[Path] = set()
    files: set[Path] = set()
    missing = []
    for path in paths:
        real = Path(os.path.realpath(path)) if os.path.lexists(path) else None
        if real is None or not os.path.lexists(real):
            missing.append(path)
            continue
        for place in table.places(real):
            if os.path.lexists(place):
                (directories if place.is_dir() else files).add(place)
    outside = {place for place in files if not any(above in directories for above in place.parents)}
    return Masks(tuple(outermost(directories)), tuple(sorted(outside)), tuple(missing))


def second_views(mounts: Iterable[Mount]) -> list[Path]:
    """Return where else file systems of the kernel's own are mounted, as in the tree of a chroot."""
    return [
        mount.point
        for mount in mounts
        if mount.kind in _KERNELS_OWN
        and not any(mount.point.is_relative_to(usual) for usual in _USUAL_PLACES)
        and os.path.lexists(mount.point)
    ]


def outermost(directories: Iterable[Path]) -> list[Path]:
    """Return those that lie within none of the others, in order."""
    distinct = set(directories)
    return sorted(place for place in distinct if not any(above in distinct for above in place.parents))


class MountTable:
    """The mounts of a mount namespace, in the kernel's order, to be asked for places."""

    def __init__(self, mounts: Iterable[Mount]) -> None:
        self._by_point: dict[Path, Mount] = {}
        self._by_device: dict[str, list[Mount]] = {}
        for mount in mounts:
            self._by_point[mount.point] = mount  # a later one at the same place lies on top
            self._by_device.setdefault(mount.device, []).append(mount)
        self._names = [(str(point), point) for point in self._by_point]

    def places(self, real: Path) -> set[Path]:
        """Return every place at which ``real``, a part of it, or what is mounted in it, can be reached."""
        below = f"{real}/"
        inner = (point for name, point in self._names if name.startswith(below))
        return {place for seen in {real, *inner} for place in (seen, *self.aliases(seen))}

    def aliases(self, real: Path) -> Iterator[Path]:
        """Yield the other places at which ``real``, or a part of it, can be reached."""
        holder = next((self._by_point[place] for place in (real, *real.parents) if place in self._by_point), None)
        if holder is None:
            return
        inner = holder.root / real.relative_to(holder.point)
        for mount in self._by_device[holder.device]:
            if mount == holder:
                continue
            if inner.is_relative_to(mount.root):
                yield mount.point / inner.relative_to(mount.root)
            elif mount.root.is_relative_to(inner):
                yield mount.point


def parse_mounts(text: str) -> list[Mount]:
    """Return the mounts of a ``mountinfo``, in its order."""
    found = []
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) > 4:  # noqa: PLR2004 - those that are read
            kind = next((after for before, after in itertools.pairwise(fields[5:]) if before == "-"), "")
            found.append(Mount(fields[2], Path(_unescape(fields[3])), Path(_unescape(fields[4])), kind))
    return found


def current_mounts() -> list[Mount]:
    """Return the mounts that this process sees."""
    return parse_mounts(MOUNTS.read_text(errors="surrogateescape"))


def mounts_of(pid: int) -> list[Mount]:
    """Return the mounts that another process sees.

    Raises:
        OSError: it is gone.
    """
    return parse_mounts(Path(f"/proc/{pid}/mountinfo").read_text(errors="surrogateescape"))


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)
