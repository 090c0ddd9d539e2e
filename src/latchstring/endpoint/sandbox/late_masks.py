"""Hides content that appears, or is replaced, while sandboxes run.

What is there when a sandbox starts is hidden from its first process on. What appears later is hidden as soon as the
kernel tells of it. A session that could not be kept from it, or that has it open already, ends.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from latchstring.endpoint.sandbox import mask_later
from latchstring.endpoint.sandbox.appearances import Appearances
from latchstring.endpoint.sandbox.masks import current_mounts, find_masks, mounts_of
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.tasks import Tasks

HIDE_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class LateMasks:
    """Keeps paths hidden in the sandboxes that it is told of. To be used in the event loop's thread.

    Args:
        paths: absolute; whether they exist or not.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._sandboxes: set[Sandbox] = set()
        self._hiding: set[tuple[Sandbox, Path]] = set()
        self._appearances: Appearances | None = None
        self._tasks = Tasks()

    def keep(self, sandbox: Sandbox) -> None:
        """Keep the paths hidden in ``sandbox``, which has been started, until it ends.

        Raises:
            OSError: nothing tells of what appears.
        """
        if not self._paths:
            return
        if self._appearances is None:
            self._appearances = Appearances(self._paths, self._look)
        self._sandboxes.add(sandbox)
        self._tasks.start(self._forget(sandbox), name="end of late masks")
        self._look()

    def _look(self) -> None:
        masks = find_masks(self._paths, current_mounts())
        for sandbox in self._sandboxes:
            with contextlib.suppress(OSError):  # it has ended
                hidden = {mount.point for mount in mounts_of(sandbox.first_pid)}
                for place in {*masks.directories, *masks.files} - hidden:
                    if (sandbox, place) not in self._hiding:
                        self._hiding.add((sandbox, place))
                        self._tasks.start(self._hide(sandbox, place), name=f"hiding {place}")

    async def _hide(self, sandbox: Sandbox, place: Path) -> None:
        try:
            done = await _mask(sandbox.first_pid, place)
        except (OSError, TimeoutError):
            done = False
        finally:
            self._hiding.discard((sandbox, place))
        if not sandbox.is_alive:
            return
        if not done:
            _log.warning("%s appeared, and could not be hidden from a session: it ends", place)
            sandbox.kill_now()
        elif await asyncio.to_thread(_is_held, sandbox.processes(), place):
            _log.warning("%s appeared, and a session had it open before it was hidden: it ends", place)
            sandbox.kill_now()
        else:
            _log.info("%s appeared, and is hidden from a session", place)
            self._look()  # it may have been replaced meanwhile

    async def _forget(self, sandbox: Sandbox) -> None:
        await sandbox.wait_ended()
        self._sandboxes.discard(sandbox)
        if not self._sandboxes and self._appearances is not None:
            self._appearances.close()
            self._appearances = None


async def _mask(pid: int, place: Path) -> bool:
    """Hide a place in the mount namespace of a process; return whether it is hidden.

    Raises:
        OSError, TimeoutError: it is not.
    """
    words = [sys.executable, "-I", "-S", str(mask_later.__file__), str(pid), str(place), *_identity(place)]
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(HIDE_SECONDS):
        return await process.wait() == 0


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
