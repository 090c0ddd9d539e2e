"""``access off``, said before anything heavy is imported: the cut does not wait until Python has loaded the rest.

Standard library only, and little of it. The words are those of :class:`latchstring.endpoint.local.messages.SetAccess`.
"""

import os
import socket
from collections.abc import Mapping
from typing import Final

from latchstring.endpoint.local.socket_path import SOCKET_NAME, short_path

DATA_VARIABLE: Final = "LATCH_DATA"
_SECONDS: Final = 1.0
_COMMAND: Final = ("access", "off")


def say_off_early(arguments: list[str], environment: Mapping[str, str]) -> socket.socket | None:
    """Say ``off`` if that is plainly what the command line means; whatever is less plain waits for the whole parser.

    Args:
        arguments: of ``latch-endpoint``.
        environment: may name the data directory.

    Returns:
        The connection on which the agent answers; None if nothing was said.
    """
    if tuple(arguments[:2]) != _COMMAND:
        return None
    rest = [argument for argument in arguments[2:] if argument != "--json"]
    match rest:
        case [] if environment.get(DATA_VARIABLE):
            return say_off(environment[DATA_VARIABLE], None)
        case ["--data", directory] if not directory.startswith("-"):
            return say_off(directory, None)
        case _:
            return None


def say_off(directory: str | os.PathLike[str], seconds: int | None) -> socket.socket | None:
    """Tell the agent in ``directory`` to turn access off, and return the connection on which it answers.

    Args:
        directory: the endpoint's data directory.
        seconds: for how long; None for good.

    Returns:
        None if no agent could be told; whoever turns off in another way finds out why.
    """
    timed = "null" if seconds is None else str(seconds)
    line = f'{{"command": "set_access", "mode": "off", "seconds": {timed}}}\n'.encode()
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    except OSError:
        return None
    connection.settimeout(_SECONDS)
    try:
        with short_path(f"{os.fspath(directory)}/{SOCKET_NAME}") as name:
            connection.connect(name)
        connection.sendall(line)
    except OSError:
        connection.close()
        return None
    return connection
