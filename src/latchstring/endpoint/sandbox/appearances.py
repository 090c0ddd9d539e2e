"""Tells when something appears, or is replaced, at one of some paths, or anything is mounted.

Every directory on the way to a path is watched, through symbolic links too, and so is the list of mounts, which the
kernel marks as changed (proc(5)). There is no polling, so nothing wakes up while nothing happens.
"""

import asyncio
import errno
import os
import select
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from latchstring.endpoint import inotify
from latchstring.endpoint.inotify import Inotify
from latchstring.endpoint.sandbox.masks import MOUNTS

_WANTED: Final = inotify.CREATED | inotify.MOVED_TO | inotify.ATTRIBUTES | inotify.SELF_DELETED | inotify.SELF_MOVED
_UNREACHABLE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP})
"""Once such a directory can be reached, the one above tells of it."""
_MAX_LINKS: Final = 40


class Appearances:
    """Watches until it is closed. To be used in the event loop's thread.

    Args:
        paths: absolute.
        notice: called whenever there may be something new at one of them.
        fail: called when the kernel does not tell any more.

    Raises:
        OSError: the kernel has no watches left.
    """

    def __init__(self, paths: Iterable[Path], notice: Callable[[], None], fail: Callable[[OSError], None]) -> None:
        self._paths = tuple(paths)
        self._notice = notice
        self._fail = fail
        self._inotify = Inotify(self._changed)
        self._mounts = -1
        self._epoll: select.epoll | None = None
        try:
            self._watch_mounts()
            self._watch()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Stop."""
        self._inotify.close()
        if self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
        if self._mounts >= 0:
            os.close(self._mounts)
            self._mounts = -1

    def _changed(self) -> None:
        try:
            self._watch()
        except OSError as error:
            self._fail(error)
        else:
            self._notice()

    def _watch(self) -> None:
        """Watch every directory that there is on the way to each path now."""
        for directory in ways_to(self._paths):
            try:
                self._inotify.watch(Path(directory), _WANTED)
            except OSError as error:
                if error.errno not in _UNREACHABLE:
                    raise

    def _watch_mounts(self) -> None:
        self._mounts = os.open(MOUNTS, os.O_RDONLY | os.O_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(self._mounts, select.EPOLLPRI | select.EPOLLERR | select.EPOLLET)
        self._epoll.poll(0)  # what has been until now
        asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._mounted)

    def _mounted(self) -> None:
        if self._epoll is not None:
            self._epoll.poll(0)
            self._changed()


def ways_to(paths: Iterable[Path]) -> set[str]:
    """Return every directory on the way to each path, and to where the symbolic links on that way lead."""
    directories: set[str] = set()
    to_do = [(str(path), _MAX_LINKS) for path in paths]
    while to_do:
        way, links = to_do.pop()
        walked = "/"
        parts = way.strip("/").split("/")
        for number, part in enumerate(parts, start=1):
            if walked not in directories:
                directories.add(walked)
            walked = os.path.join(walked, part)  # noqa: PTH118 - text is several times as quick, and sessions wait
            if walked in directories:
                continue  # it is a directory, and none of its own links
            try:
                target = os.readlink(walked)  # noqa: PTH115
            except OSError:
                continue
            if links:
                beyond = os.path.join(os.path.dirname(walked), target, *parts[number:])  # noqa: PTH118, PTH120
                to_do.append((os.path.normpath(beyond), links - 1))
            break
    return directories
