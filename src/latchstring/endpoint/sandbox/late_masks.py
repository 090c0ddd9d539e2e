"""Hides, or makes read-only, what appears or is replaced while sandboxes run.

What is there when a sandbox starts is dealt with before its first process (``filesystem``). What appears later is as
soon as the kernel tells of it. A session that could not be kept from it, or that has it open already, ends.
"""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, Literal

from latchstring.endpoint.sandbox import mask_later
from latchstring.endpoint.sandbox.appearances import Appearances
from latchstring.endpoint.sandbox.errors import SandboxUnavailableError
from latchstring.endpoint.sandbox.filesystem import paths_to_hide, paths_to_keep
from latchstring.endpoint.sandbox.masks import current_mounts, find_masks, mounts_of
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.spec import SandboxSpec
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
            looks = self._looks
            sandbox = await start()
        except BaseException:
            self._leave()
            raise
        self._sandboxes.add(sandbox)
        self._tasks.start(self._forget(sandbox), name="end of late masks")
        if looks != self._looks:
            self._look()
        return sandbox

    def _watch(self) -> None:
        if self._appearances is not None:
            return
        try:
            self._appearances = Appearances([*paths_to_hide(self._spec), *paths_to_keep(self._spec)], self._look)
        except OSError as error:
            raise SandboxUnavailableError(f"content that appears could not be hidden: {error.strerror}") from error

    def _leave(self) -> None:
        self._users -= 1
        if not self._users and self._appearances is not None:
            self._appearances.close()
            self._appearances = None

    def _look(self) -> None:
        self._looks += 1
        wanted = self._wanted()
        for sandbox in self._sandboxes:
            with contextlib.suppress(OSError):  # it has ended
                there = {mount.point for mount in mounts_of(sandbox.first_pid)}
                for place in wanted.keys() - there:
                    if (sandbox, place) not in self._under_way:
                        self._under_way.add((sandbox, place))
                        self._tasks.start(self._mask(sandbox, place, wanted[place]), name=f"mask of {place}")

    def _wanted(self) -> dict[Path, How]:
        """Return each place that has to be a mount point in a sandbox now, and of what kind."""
        hidden = find_masks(paths_to_hide(self._spec), current_mounts())
        covered = {*hidden.directories, *self._spec.masked}
        kept = {path.resolve() for path in paths_to_keep(self._spec) if path.exists()}
        seen = (place for place in kept if not any(above in covered for above in (place, *place.parents)))
        wanted: dict[Path, How] = dict.fromkeys(seen, "keep")
        return wanted | dict.fromkeys((*hidden.directories, *hidden.files), "hide")

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
        elif await asyncio.to_thread(_is_held, sandbox.processes(), place):
            _log.warning("%s appeared, and a session had it open before it was %s: it ends", place, _DONE[how])
            sandbox.kill_now()
        else:
            _log.info("%s appeared, and is %s in a session", place, _DONE[how])
            self._look()  # it may have been replaced meanwhile

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


def _is_there(place: Path) -> bool:
    return os.path.lexists(place)


def _identity(place: Path) -> tuple[str, str]:
    status = place.lstat()
    return str(status.st_dev), str(status.st_ino)


def _is_held(processes: Iterable[int], path: Path) -> bool:
    """Return whether a process has ``path``, or something in it, open, or stands in it."""
    for pid in processes:
        folder = Path("/proc") / str(pid)
        with contextlib.suppress(OSError):
            for entry in (folder / "cwd", folder / "root", *(folder / "fd").iterdir()):
                with contextlib.suppress(OSError):
                    held = entry.readlink()
                    if held == path or path in held.parents:
                        return True
    return False
