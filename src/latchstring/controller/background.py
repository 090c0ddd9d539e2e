"""Work that repeats while the controller runs, and goes on whatever happens to one turn of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from latchstring.controller.errors import StoreUnavailableError

_log = logging.getLogger(__name__)


async def repeat(name: str, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do ``work`` every ``seconds``, until cancelled."""
    while True:
        try:
            await work()
        except StoreUnavailableError:
            _log.warning("%s: the database cannot be used now", name)
        except Exception:  # noqa: BLE001 - a turn that failed must not end the turns after it
            _log.exception("%s failed", name)
        await asyncio.sleep(seconds)
