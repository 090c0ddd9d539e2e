"""Runs the agent as a process of its own: lock, event loop, signals, log on standard error."""

import asyncio
import logging
import resource
import signal
import sys
from collections.abc import Callable
from typing import Final

import uvloop

from latchstring.endpoint.agent import run_agent
from latchstring.endpoint.clock import Clock
from latchstring.endpoint.data_directory import DataDirectory

_LOCK_SECONDS: Final = 1.0
"""A command that moves the switch holds the lock for a moment."""


def run_in_foreground(directory: DataDirectory, *, clock: Clock, announce: Callable[[str], None]) -> None:
    """Run the agent until SIGTERM or SIGINT; SIGHUP has it read its policy again.

    Raises:
        EndpointError: it cannot begin, or a part of it failed.
    """
    _set_up_logging()
    _take_descriptors()
    with directory.lock(wait_seconds=_LOCK_SECONDS):
        uvloop.run(_run(directory, clock, announce))


async def _run(directory: DataDirectory, clock: Clock, announce: Callable[[str], None]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    reloading = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, reloading.set)
    await run_agent(directory, clock=clock, stopping=stopping, reloading=reloading, announce=announce)


def _take_descriptors() -> None:
    """Use all the descriptors that this process may have: sessions share them, and one must not use up the others'."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _set_up_logging() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("latchstring").setLevel(logging.INFO)
