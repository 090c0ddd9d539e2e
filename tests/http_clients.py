"""HTTP clients that leave nothing open behind them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from eventually import eventually


@asynccontextmanager
async def http_client() -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client; in the end wait for its connections, which TLS closes only once the peer has agreed."""
    before = _sockets()
    async with aiohttp.ClientSession() as client:
        yield client
    await eventually(lambda: _sockets() <= before, "connections to be closed")


def _sockets() -> int:
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found += str(descriptor.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue  # that of the listing itself
    return found
