"""The kernel's word that something changed in a directory (inotify(7)), so that nobody has to look again and again."""

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

ATTRIBUTES: Final = 0x4
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATED: Final = 0x100
DELETED: Final = 0x200
SELF_DELETED: Final = 0x400
SELF_MOVED: Final = 0x800
_READ_BYTES: Final = 64 * 1024


class Inotify:
    """Calls ``notice`` after changes, once for all that came together. To be used in the event loop's thread.

    Raises:
        OSError: the kernel gives no more of them.
    """

    def __init__(self, notice: Callable[[], None]) -> None:
        self._notice = notice
        self._library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        asyncio.get_running_loop().add_reader(self._descriptor, self._readable)

    def watch(self, directory: Path, events: int) -> None:
        """Watch a directory, for all of ``events``. One that is watched already is not watched twice.

        Raises:
            OSError: it is not there, or the kernel has no watches left.
        """
        if self._library.inotify_add_watch(self._descriptor, os.fsencode(directory), events) < 0:
            raise OSError(ctypes.get_errno(), f"inotify_add_watch: {directory}")

    def close(self) -> None:
        """Stop."""
        if self._descriptor >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._descriptor)
            # In a thread: the kernel waits for whoever looks at its watches, for milliseconds.
            loop.run_in_executor(None, os.close, self._descriptor)
            self._descriptor = -1

    def _readable(self) -> None:
        try:
            while os.read(self._descriptor, _READ_BYTES):
                pass
        except BlockingIOError:
            pass
        self._notice()
