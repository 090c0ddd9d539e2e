"""Why a connection could not be had, in words for people: what a library's error says about itself is none."""

import os

import aiohttp

from latchstring.endpoint.errors import one_line


def connection_fault(error: Exception) -> str:
    """Return in one line why there is no connection."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{error.host}:{error.port} cannot be reached: {_system_fault(error.os_error)}"
    return one_line(str(error)) or "no answer in time"


def _system_fault(error: OSError) -> str:
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return one_line(error.strerror or str(error))
