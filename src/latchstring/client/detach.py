"""A process that serves a connection after the command has ended. ``ssh`` waits for its ProxyCommand to end."""

import gc
import os
from collections.abc import Callable, Iterable
from contextlib import suppress

_FIRST_OWN_DESCRIPTOR = 3


def occupy_standard_descriptors() -> None:
    """Open what is closed of standard input, output and error, so that no socket takes its place."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < _FIRST_OWN_DESCRIPTOR:
        pass
    os.close(descriptor)


def serve_apart(serve: Callable[[], None], *, keep: tuple[int, ...]) -> None:
    """Return at once, while ``serve`` runs in a process of its own, which ends when it returns.

    That process has no terminal, and no descriptor but those to ``keep``, all of them above 2: whoever waits for the
    ends of our pipes does not wait for it. It has nobody to tell what goes wrong.

    Raises:
        OSError: there can be no more processes.
    """
    if os.fork():
        return
    try:
        os.setsid()
        os.chdir("/")
        _keep_only(keep)
        gc.enable()
        serve()
    finally:
        os._exit(0)


def _keep_only(keep: tuple[int, ...]) -> None:
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(_FIRST_OWN_DESCRIPTOR):
        os.dup2(silence, descriptor)
    for descriptor in _open_descriptors():
        if descriptor >= _FIRST_OWN_DESCRIPTOR and descriptor not in keep:
            with suppress(OSError):  # the one that listed them is gone already
                os.close(descriptor)


def _open_descriptors() -> Iterable[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - pathlib is not loaded here
    except OSError:
        return range(os.sysconf("SC_OPEN_MAX"))
