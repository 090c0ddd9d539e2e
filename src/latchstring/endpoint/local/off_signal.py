"""``access off``, said before anything heavy is imported: the cut does not wait until Python has loaded the rest.

Standard library only. The words are those of :class:`latchstring.endpoint.local.messages.SetAccess`.
"""

import contextlib
import json
import socket
from pathlib import Path
from typing import Final

from latchstring.endpoint.local.socket_path import SOCKET_NAME, short_path

_SECONDS: Final = 1.0


def say_off(directory: Path, seconds: int | None) -> socket.socket | None:
    """Tell the agent in ``directory`` to turn access off, and return the connection on which it answers.

    Args:
        directory: the endpoint's data directory.
        seconds: for how long; None for good.

    Returns:
        None if no agent could be told; whoever turns off in another way finds out why.
    """
    line = json.dumps({"command": "set_access", "mode": "off", "seconds": seconds}).encode() + b"\n"
    with contextlib.ExitStack() as undo:
        connection = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC))
        connection.settimeout(_SECONDS)
        try:
            with short_path(directory / SOCKET_NAME) as name:
                connection.connect(name)
            connection.sendall(line)
        except OSError:
            return None
        undo.pop_all()
        return connection
