"""Hides, or makes read-only, what appears or is replaced while sandboxes run.

What is there when a sandbox starts is dealt with before its first process (``filesystem``). What appears later is as
soon as the kernel tells of it. A session that could not be kept from it, or that has it open already, ends; so does one
whose account could have put there what it holds by another name: a directory of its own, a hard link. Where nothing
tells any more, every session ends.
"""

import asyncio
import logging
import os
import stat
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, Literal

from latchstring.endpoint.sandbox import mask_later
from latchstring.endpoint.sandbox.appearances import Appearances
from latchstring.endpoint.sandbox.errors import SandboxUnavailableError
from latchstring.endpoint.sandbox.filesystem import paths_to_hide, paths_to_keep
from latchstring.endpoint.sandbox.masks import current_mounts, find_masks, second_views
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.spec import SandboxSpec
from latchstring.endpoint.sandbox.writable import find_writable_ancestor
from latchstring.endpoint.tasks import Tasks

HIDE_SECONDS: Final = 5.0

How = Literal["hide", "keep"]
_DONE: Final[dict[How, str]] = {"hide": "hidden", "keep": "read-only"}

_log = logging.getLogger(__name__)


class LateMasks:
    """Keeps what ``spec`` hides hidden, and what it makes read-only so, in the sandboxes that it is told of.

    To be used in the event loop's thread.
    """

    def __init__(self, spec: SandboxSpec) -> None:
        self._spec = spec
        self._sandboxes: set[Sandbox] = set()
        self._under_way: set[tuple[Sandbox, Path]] = set()
        self._appearances: Appearances | None = None
        self._users = 0
        self._looks = 0
        self._failures = 0
        self._tasks = Tasks()

    async def start(self, start: Callable[[], Awaitable[Sandbox]]) -> Sandbox:
        """Start a sandbox, and do so in it until it ends.

        Raises:
            SandboxUnavailableError: nothing tells of what appears.
            Exception: what ``start`` raises.
        """
        self._users += 1
        try:
            self._watch()  # before it starts, so that what appears meanwhile is told of
            looks, failures = self._looks, self._failures
            sandbox = await start()
        except BaseException:
            self._leave()
            raise
        self._sandboxes.add(sandbox)
        self._tasks.start(self._forget(sandbox), name="end of late masks")
        if failures != self._failures:
            await sandbox.kill()
            raise SandboxUnavailableError("content that appears could not be hidden")
        if looks != self._looks:
            self._look()
        return sandbox

    def _watch(self) -> None:
        if self._appearances is not None:
            return
        try:
            paths = [*paths_to_hide(self._spec), *paths_to_keep(self._spec)]
            self._appearances = Appearances(paths, self._look, self._fail)
        except OSError as error:
            raise SandboxUnavailableError(f"content that appears could not be hidden: {error.strerror}") from error

    def _leave(self) -> None:
        self._users -= 1
        if not self._users and self._appearances is not None:
            self._appearances.close()
            self._appearances = None

    def _look(self) -> None:
        self._looks += 1
        try:
            wanted = self._wanted()
            for sandbox in self._sandboxes:
                self._look_into(sandbox, wanted)
        except OSError as error:
            self._fail(error)

    def _look_into(self, sandbox: Sandbox, wanted: dict[Path, How]) -> None:
        for place, how in wanted.items():
            if (sandbox, place) not in self._under_way and not _is_masked(sandbox.first_pid, place, how):
                self._under_way.add((sandbox, place))
                self._tasks.start(self._mask(sandbox, place, how), name=f"mask of {place}")

    def _fail(self, error: OSError) -> None:
        _log.warning("what appears cannot be hidden any more (%s): every session ends", error)
        self._failures += 1
        if self._appearances is not None:
            self._appearances.close()
            self._appearances = None  # the next sandbox makes another, or is refused
        for sandbox in self._sandboxes:
            sandbox.kill_now()

    def _wanted(self) -> dict[Path, How]:
        """Return each place that a sandbox must not reach or change now."""
        mounted = current_mounts()
        hidden = find_masks(paths_to_hide(self._spec), mounted)
        kept = find_masks(paths_to_keep(self._spec), mounted)
        wanted: dict[Path, How] = dict.fromkeys((*kept.directories, *kept.files), "keep")
        views = second_views(mounted)
        return wanted | dict.fromkeys((*hidden.directories, *hidden.files, *views), "hide")

    async def _mask(self, sandbox: Sandbox, place: Path, how: How) -> None:
        try:
            done = await _mask_later(sandbox.first_pid, place, how)
        except (OSError, TimeoutError):
            done = False
        finally:
            self._under_way.discard((sandbox, place))
        if not sandbox.is_alive:
            return
        if not done and not _is_there(place):
            self._look()  # what is gone again needs no mask; it may be back already
        elif not done:
            _log.warning("%s appeared, and could not be %s in a session: it ends", place, _DONE[how])
            sandbox.kill_now()
        elif await asyncio.to_thread(self._is_known_inside, sandbox, place):
            _log.warning("%s appeared, and a session has it by another name, or may have: it ends", place)
            sandbox.kill_now()
        else:
            _log.info("%s appeared, and is %s in a session", place, _DONE[how])
            self._look()  # it may have been replaced meanwhile

    def _is_known_inside(self, sandbox: Sandbox, place: Path) -> bool:
        if _is_held(sandbox.processes(), place):
            return True
        if not any(place.is_relative_to(os.path.realpath(path)) for path in self._spec.content):
            return False
        try:
            return find_writable_ancestor(place, sandbox.account) is not None or _has_other_names(place)
        except OSError:
            return True

    async def _forget(self, sandbox: Sandbox) -> None:
        await sandbox.wait_ended()
        self._sandboxes.discard(sandbox)
        self._leave()


async def _mask_later(pid: int, place: Path, how: How) -> bool:
    """Hide a place in the mount namespace of a process, or make it read-only; return whether that is done.

    Raises:
        OSError, TimeoutError: it is not.
    """
    words = [sys.executable, "-I", "-S", str(mask_later.__file__), how, str(pid), str(place), *_identity(place)]
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(HIDE_SECONDS):
        return await process.wait() == 0


def _is_masked(pid: int, place: Path, how: How) -> bool:
    """Return whether a process sees at ``place`` something else than we do, or cannot change it.

    Raises:
        OSError: that cannot be found out.
    """
    inside = f"/proc/{pid}/root{place}"
    try:
        if how == "keep":
            return bool(os.statvfs(inside).f_flag & os.ST_RDONLY)
        seen, real = os.lstat(inside), os.lstat(place)
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return True  # it lies below a mask, or is gone again, or the sandbox is
    return (seen.st_dev, seen.st_ino) != (real.st_dev, real.st_ino) or real.st_rdev == os.makedev(1, 3)  # /dev/null


def _has_other_names(place: Path) -> bool:
    status = place.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_nlink > 1


def _is_there(place: Path) -> bool:
    return os.path.lexists(place)


def _identity(place: Path) -> tuple[str, str]:
    status = place.lstat()
    return str(status.st_dev), str(status.st_ino)


def _is_held(processes: Iterable[int], path: Path) -> bool:
    """Return whether a thread has ``path``, or something in it, open, mapped, or stands in it."""
    for pid in processes:
        for thread in _entries(Path("/proc") / str(pid) / "task"):
            held = (thread / "cwd", thread / "root", *_entries(thread / "fd"))
            if any(_leads_to(entry, path) for entry in held):
                return True
        if any(_leads_to(entry, path) for entry in _entries(Path("/proc") / str(pid) / "map_files")):
            return True
    return False


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []  # it has ended


def _leads_to(entry: Path, path: Path) -> bool:
    try:
        held = entry.readlink()
    except OSError:
        return False
    return held == path or path in held.parents
