"""Room that is kept on the disk for the journal's last words.

When the disk is full nothing new may open, but what ends has to be written down. So the journal keeps a file of a fixed
size beside it, and gives it up when an ending cannot be written otherwise. While the file is not there, nothing opens.
"""

import contextlib
import errno
import os
from pathlib import Path
from typing import Final

from latchstring.certs.keyfiles import PRIVATE_MODE

RESERVE_BYTES: Final = 1024 * 1024
_CHUNK: Final = bytes(64 * 1024)


class Reserve:
    """A file of :data:`RESERVE_BYTES` at ``path`` that holds nothing but its place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._complete = False

    def ensure(self) -> None:
        """Have the room.

        Raises:
            OSError: there is none.
        """
        if self._complete:
            return
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_MODE)
        try:
            # Written, not only allocated: a sparse or compressed promise is no room.
            for _ in range(RESERVE_BYTES // len(_CHUNK)):
                _write_whole(descriptor)
            os.fsync(descriptor)
        except OSError:
            self.release()
            raise
        finally:
            os.close(descriptor)
        self._complete = True

    def release(self) -> None:
        """Give the room up, for what has to be written now."""
        self._complete = False
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def _write_whole(descriptor: int) -> None:
    """Write one chunk. A short write is what a disk does just before it is full."""
    if os.write(descriptor, _CHUNK) != len(_CHUNK):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
