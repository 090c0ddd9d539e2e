"""Tells when something appears, or is replaced, at one of some paths.

Of each path the nearest directory that exists is watched, for new entries. There is no polling, so nothing wakes up
while nothing happens.
"""

import errno
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from latchstring.endpoint import inotify
from latchstring.endpoint.inotify import Inotify

_WANTED: Final = inotify.CREATED | inotify.MOVED_TO | inotify.ATTRIBUTES | inotify.SELF_DELETED | inotify.SELF_MOVED
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
        self._inotify = Inotify(self._changed)
        try:
            self._watch()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Stop."""
        self._inotify.close()

    def _changed(self) -> None:
        try:
            self._watch()
        finally:
            self._notice()

    def _watch(self) -> None:
        """Watch what there is above each path now."""
        watched: set[Path] = set()
        for path in self._paths:
            for above in path.parents:
                if above in watched or self._is_watched(above):
                    watched.add(above)
                    break

    def _is_watched(self, directory: Path) -> bool:
        """Watch a directory, if it is there."""
        try:
            self._inotify.watch(directory, _WANTED)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return False
        return True
