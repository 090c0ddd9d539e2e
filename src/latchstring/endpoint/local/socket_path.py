"""A short way to the control socket. The address of a Unix socket holds 107 bytes, and a data directory may be deep."""

import contextlib
import os
from collections.abc import Iterator
from typing import Final

SOCKET_NAME: Final = "control.sock"
"""In the data directory."""


@contextlib.contextmanager
def short_path(path: str | os.PathLike[str]) -> Iterator[str]:
    """Return a name for ``path`` that fits, valid within the block: through a descriptor of its directory.

    Raises:
        OSError: the directory cannot be opened.
    """
    directory, name = os.path.split(path)
    descriptor = os.open(directory or os.curdir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
