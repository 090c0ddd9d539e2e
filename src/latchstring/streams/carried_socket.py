"""A socket whose bytes somebody else carries on, for those who know TCP connections only.

Its holder reads, writes, half-closes and closes as usual. Two things need a word to the carrier, who has the other end
of the pair: that the holder has closed for good, which a half-close before it hides, and that it wants a reset, which
throws away what the carrier still holds, as a TCP reset throws away what the kernel holds.
"""

import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Final

_LINGER_NOT: Final = struct.pack("ii", 1, 0)


class CarriedSocket(socket.socket):
    """The holder's end of a pair.

    Attributes:
        on_reset: called when the holder wants a reset, before it closes.
        on_close: called when the holder has closed.
    """

    on_reset: Callable[[], None]
    on_close: Callable[[], None]

    def close(self) -> None:
        """Close, and tell the carrier."""
        super().close()
        self.on_close()


def carried_pair(*, on_reset: Callable[[], None], on_close: Callable[[], None]) -> tuple[CarriedSocket, socket.socket]:
    """Return the holder's end and the carrier's end of a new pair. Neither blocks."""
    theirs, ours = socket.socketpair()
    held = CarriedSocket(fileno=theirs.detach())
    held.on_reset, held.on_close = on_reset, on_close
    for end in (held, ours):
        end.setblocking(False)
    return held, ours


def reset_on_close(connection: socket.socket) -> None:
    """Make the close that follows a reset: what is still held for the peer is thrown away."""
    if isinstance(connection, CarriedSocket):
        connection.on_reset()
    else:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
