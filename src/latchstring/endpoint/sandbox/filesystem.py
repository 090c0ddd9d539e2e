"""What of the file system is where inside a sandbox: the part of ``bwrap``'s command line that makes mounts.

The files of the host are the session's to use, with these exceptions, in the order in which they are mounted:

1. Every directory above a mask is a mount point, which the kernel neither renames nor removes (rename(2), EBUSY):
   otherwise a session could move the masked directory away with its parent and leave a decoy for the next start.
2. ``/dev`` has the usual few devices and terminals of its own: with the host's, root would read a block device, and so
   every file on it.
3. What the kernel lets root change for the whole machine, through ``/proc`` and ``/sys``, is read-only: root needs no
   capability for much of it, and a pattern for core dumps is a program that the kernel runs outside.
4. Where the machine starts programs by itself (systemd, cron, at), and what the policy says, is read-only.
5. The doors to programs that would do work for a session outside of it (D-Bus, systemd, containers), and what the
   policy and the agent hide, are masked: a directory by an empty one, a file by a device that cannot be opened.

What of 4 and 5 appears later: ``late_masks``.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import latchstring
from latchstring.endpoint.sandbox.errors import SandboxUnavailableError
from latchstring.endpoint.sandbox.masks import current_mounts, find_masks, outermost, second_views
from latchstring.endpoint.sandbox.spec import SandboxSpec

SHARED_MEMORY_BYTES: Final = 512 * 1024 * 1024
"""Of ``/dev/shm``, which is the session's own."""

# Has to be there; the others are there on some kernels only. They keep host-wide files that root may write.
_PROC_READ_ONLY: Final = "/proc/sys"
_READ_ONLY_IF_THERE: Final = (
    "/proc/sysrq-trigger",
    "/proc/acpi",
    "/proc/asound",
    "/proc/bus",
    "/proc/driver",
    "/proc/dynamic_debug",
    "/proc/fs",
    "/proc/irq",
    "/proc/mtrr",
    "/proc/pressure",
    "/proc/scsi",
    "/sys",
)
_STARTERS: Final = (
    "/etc/anacrontab",
    "/etc/cron.d",
    "/etc/cron.daily",
    "/etc/cron.hourly",
    "/etc/cron.monthly",
    "/etc/cron.weekly",
    "/etc/crontab",
    "/etc/init.d",
    "/etc/ld.so.preload",
    "/etc/rc.local",
    "/etc/systemd",
    "/etc/udev",
    "/usr/lib/systemd",
    "/usr/lib/udev",
    "/usr/local/lib/systemd",
    "/var/spool/anacron",
    "/var/spool/at",
    "/var/spool/cron",
)
_DOORS: Final = (
    "/run/systemd",
    "/run/containerd",
    "/run/crio",
    "/run/dbus",
    "/run/docker",
    "/run/docker.sock",
    "/run/incus",
    "/run/initctl",
    "/run/libvirt",
    "/run/lxd",
    "/run/lxd.socket",
    "/run/podman",
    "/run/snapd.socket",
    "/run/udev",
    "/run/user",
    "/var/lib/docker",
    "/var/lib/containers",
    "/var/lib/lxd",
    "/var/lib/incus",
)
_NO_DOORS: Final = (Path("/run/systemd/resolve/resolv.conf"), Path("/run/systemd/resolve/stub-resolv.conf"))
"""Behind a door, and needed to look up names."""
_OWN_PROGRAM: Final = tuple(
    place
    for place in {Path(latchstring.__file__).parent, *map(Path, (sys.prefix, sys.base_prefix))}
    if place not in map(Path, ("/usr", "/usr/local"))
)
"""Of the agent: whoever changes that has what the agent has, also where agent and session are one account."""


def mounts(spec: SandboxSpec) -> list[str]:
    """Return the options of ``bwrap`` that make the sandbox's file system.

    Raises:
        SandboxUnavailableError: a directory of ``spec.masked`` does not exist or is a link.
    """
    for directory in spec.masked:
        _require_maskable(directory)
    mounted = current_mounts()
    found, kept = find_masks(paths_to_hide(spec), mounted), find_masks(paths_to_keep(spec), mounted)
    hidden = outermost([*found.directories, *second_views(mounted)])
    read_only = sorted({*kept.directories, *kept.files})
    missing = [_nearest(path) / path.name for path in spec.content if path in found.missing]
    pinned = pinned_ancestors([*hidden, *found.files, *read_only, *missing])
    return [
        *("--bind", "/", "/"),
        *(word for place in pinned for word in ("--bind", str(place), str(place))),
        *("--dev", "/dev", "--perms", "1777", "--size", str(SHARED_MEMORY_BYTES), "--tmpfs", "/dev/shm"),  # noqa: S108 - inside
        *("--proc", "/proc", "--ro-bind", _PROC_READ_ONLY, _PROC_READ_ONLY),
        *(word for place in _READ_ONLY_IF_THERE for word in ("--ro-bind-try", place, place)),
        *(word for place in read_only for word in ("--ro-bind", str(place), str(place))),
        *_hide(hidden, found.files, [place for place in _NO_DOORS if _is_shown(place, spec)]),
    ]


def paths_to_hide(spec: SandboxSpec) -> tuple[Path, ...]:
    """Return what must not be reached from inside a sandbox, whether it exists or not."""
    return (*spec.masked, *spec.content, *map(Path, _DOORS))


def paths_to_keep(spec: SandboxSpec) -> tuple[Path, ...]:
    """Return what cannot be changed from inside a sandbox, whether it exists or not."""
    return (*spec.read_only, *map(Path, _STARTERS), *_OWN_PROGRAM)


def pinned_ancestors(hidden: Iterable[Path]) -> list[Path]:
    """Return every directory above the resolved paths ``hidden``, without ``/``, outermost first."""
    above = {ancestor for directory in hidden for ancestor in directory.parents if ancestor != ancestor.parent}
    return sorted(above, key=lambda ancestor: (len(ancestor.parts), ancestor))


def _nearest(path: Path) -> Path:
    """Return the nearest directory above ``path`` that exists, resolved."""
    return next(above for above in path.parents if above.is_dir()).resolve()


def _is_shown(place: Path, spec: SandboxSpec) -> bool:
    """Return whether a file behind a door may be shown: it is there, and not content."""
    return place.is_file() and place.resolve() == place and not any(place.is_relative_to(path) for path in spec.content)


def _hide(directories: Iterable[Path], files: Iterable[Path], shown: Iterable[Path]) -> Iterator[str]:
    for directory in directories:
        yield from ("--perms", "0555", "--tmpfs", str(directory))
        for place in shown:
            if directory in place.parents:
                yield from ("--ro-bind", str(place), str(place))
        yield from ("--remount-ro", str(directory))
    for file in files:
        yield from ("--ro-bind", "/dev/null", str(file))  # mounted without devices, so it cannot be opened


def _require_maskable(directory: Path) -> None:
    if directory.is_symlink():
        # Whoever can replace the link decides what is hidden.
        raise SandboxUnavailableError(f"the directory to hide from sessions is a symbolic link: {directory}")
    if not directory.resolve().is_dir():
        # bwrap would create it, on the host.
        raise SandboxUnavailableError(f"the directory to hide from sessions does not exist: {directory}")
