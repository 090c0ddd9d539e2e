"""Hides a path, or makes it read-only, in a sandbox that is running already.

Runs alone, as ``python -I -S mask_later.py hide|keep PID PATH DEVICE INODE``, and ends with status 0 only if the path
is hidden, or cannot be changed.

PID is a process of the sandbox. The path is resolved as a session would, and has to lead to the file that the agent saw
(its device and inode). As at the sandbox's start (``filesystem``), a directory is hidden under an empty one and a file
under a device that cannot be opened; what cannot be changed is mounted over itself.

The process enters the sandbox's mount namespace, and before that the user namespace that it belongs to, whose owner we
are. There ``/proc`` knows nothing of it, so it works from its current directory. It imports the standard library only,
and has one thread, as setns(2) demands.
"""

import ctypes
import fcntl
import os
import stat
import sys
from pathlib import Path

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUSER = 0x1000_0000
NS_GET_USERNS = 0xB701

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000

_ESCAPES = {ord(character): f"\\{ord(character):03o}" for character in " \t\n\\"}
_ERRORS = "surrogateescape"

_LIBRARY = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    """Do what the arguments say."""
    how, pid, path, device, inode = sys.argv[1:]
    wanted = (int(device), int(inode))
    mounted = {line.split(" ")[4] for line in Path(f"/proc/{pid}/mountinfo").read_text(errors=_ERRORS).splitlines()}
    enter(int(pid))
    above, name = os.path.split(os.path.realpath(path))
    if how == "hide":
        pin(Path(above), mounted)
    os.fchdir(os.open(above, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    status = os.lstat(name)
    if (status.st_dev, status.st_ino) != wanted:
        return 1
    if how == "keep":
        return 0 if is_kept(name, wanted) else 1
    hide(name, directory=stat.S_ISDIR(status.st_mode))
    return 0


def pin(directory: Path, mounted: set[str]) -> None:
    """Mount a directory, and each above it, over itself, so that nobody inside moves it away with what is hidden in it.

    Args:
        directory: resolved.
        mounted: where mounts are already, which need no other; as ``mountinfo`` writes it.

    Raises:
        OSError: the kernel refuses.
    """
    for place in (*reversed(directory.parents[:-1]), directory):
        if place != place.parent and str(place).translate(_ESCAPES) not in mounted:
            mount(str(place), str(place), None, MS_BIND | MS_REC, None)


def hide(name: str, *, directory: bool) -> None:
    """Hide an entry of the current directory, which a directory to be hidden becomes.

    Raises:
        OSError: the kernel refuses.
    """
    if directory:
        os.fchdir(os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
        mount("none", ".", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, "mode=0555,size=4k")
    else:
        mount("/dev/null", name, None, MS_BIND, None)
        mount(None, name, None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, None)


def is_kept(name: str, wanted: tuple[int, int]) -> bool:
    """Mount an entry of the current directory over itself, read-only, and return whether it is the one that is wanted.

    Raises:
        OSError: the kernel refuses.
    """
    mount(name, name, None, MS_BIND | MS_REC, None)
    # A user namespace may not take these away from a mount; those about access times stay by themselves.
    had = os.statvfs(name).f_flag & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC)
    mount(None, name, None, MS_BIND | MS_REMOUNT | MS_RDONLY | had, None)
    status = os.lstat(name)
    return (status.st_dev, status.st_ino) == wanted and bool(os.statvfs(name).f_flag & os.ST_RDONLY)


def enter(pid: int) -> None:
    """Enter the mount namespace of a process.

    Raises:
        OSError: the kernel refuses, or the process is gone.
    """
    mounts = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    owner = fcntl.ioctl(mounts, NS_GET_USERNS)
    if os.fstat(owner).st_ino != Path("/proc/self/ns/user").stat().st_ino:
        _check(_LIBRARY.setns(owner, CLONE_NEWUSER))
    _check(_LIBRARY.setns(mounts, CLONE_NEWNS))


def mount(source: str | None, place: str, kind: str | None, flags: int, options: str | None) -> None:
    """Have the kernel mount something (mount(2)).

    Raises:
        OSError: the kernel refuses.
    """
    words = [None if word is None else os.fsencode(word) for word in (source, place, kind)]
    _check(_LIBRARY.mount(*words, ctypes.c_ulong(flags), None if options is None else options.encode()))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    sys.exit(main())
