"""Tells when something appears, or is replaced, at one of some paths: inotify(7) on what there is above them.

Of each path the nearest directory that exists is watched, for new entries. There is no polling, so nothing wakes up
while nothing happens.
"""

import asyncio
import ctypes
import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

_IN_CREATE: Final = 0x100
_IN_MOVED_TO: Final = 0x80
_IN_ATTRIB: Final = 0x4
_IN_DELETE_SELF: Final = 0x400
_IN_MOVE_SELF: Final = 0x800
_WANTED: Final = _IN_CREATE | _IN_MOVED_TO | _IN_ATTRIB | _IN_DELETE_SELF | _IN_MOVE_SELF
_READ_BYTES: Final = 64 * 1024
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR})


class Appearances:
    """Watches until it is closed. To be used in the event loop's thread.

    Args:
        paths: absolute.
        notice: called whenever there may be something new at one of them.

    Raises:
        OSError: the kernel has no watches left.
    """

    def __init__(self, paths: Iterable[Path], notice: Callable[[], None]) -> None:
        self._paths = tuple(paths)
        self._notice = notice
        self._library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        asyncio.get_running_loop().add_reader(self._descriptor, self._readable)
        try:
            self._watch()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Stop."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            # In a thread: the kernel waits for whoever looks at its watches, for milliseconds.
            asyncio.get_running_loop().run_in_executor(None, os.close, self._descriptor)
            self._descriptor = -1

    def _readable(self) -> None:
        try:
            while os.read(self._descriptor, _READ_BYTES):
                pass
        except BlockingIOError:
            pass
        try:
            self._watch()
        finally:
            self._notice()

    def _watch(self) -> None:
        """Watch what there is above each path now. What is watched already is not watched twice."""
        watched: set[Path] = set()
        for path in self._paths:
            for above in path.parents:
                if above in watched:
                    break
                if self._library.inotify_add_watch(self._descriptor, os.fsencode(above), _WANTED) >= 0:
                    watched.add(above)
                    break
                if ctypes.get_errno() not in _GONE:
                    raise OSError(ctypes.get_errno(), f"inotify_add_watch: {above}")
