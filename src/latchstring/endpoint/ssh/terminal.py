"""A pseudo-terminal for a channel, set up as the engineer's own terminal is.

Modes: RFC 4254, section 8. What a pseudo-terminal does not have (speed, parity) is left out.
"""

import contextlib
import fcntl
import grp
import os
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

MAX_TERM_CHARACTERS: Final = 64

_CONTROL_CHARACTERS: Final = MappingProxyType(
    {
        1: termios.VINTR,
        2: termios.VQUIT,
        3: termios.VERASE,
        4: termios.VKILL,
        5: termios.VEOF,
        6: termios.VEOL,
        7: termios.VEOL2,
        8: termios.VSTART,
        9: termios.VSTOP,
        10: termios.VSUSP,
        12: termios.VREPRINT,
        13: termios.VWERASE,
        14: termios.VLNEXT,
        16: termios.VSWTC,
        18: termios.VDISCARD,
    }
)
_INPUT: Final = 0
_OUTPUT: Final = 1
_LOCAL: Final = 3
_CHARACTERS: Final = 6
_NO_CHARACTER: Final = 255
_IUTF8: Final = 0o40000  # not in Python's termios before 3.13
_FLAGS: Final = MappingProxyType(
    {
        30: (_INPUT, termios.IGNPAR),
        31: (_INPUT, termios.PARMRK),
        32: (_INPUT, termios.INPCK),
        33: (_INPUT, termios.ISTRIP),
        34: (_INPUT, termios.INLCR),
        35: (_INPUT, termios.IGNCR),
        36: (_INPUT, termios.ICRNL),
        38: (_INPUT, termios.IXON),
        39: (_INPUT, termios.IXANY),
        40: (_INPUT, termios.IXOFF),
        41: (_INPUT, termios.IMAXBEL),
        42: (_INPUT, _IUTF8),
        50: (_LOCAL, termios.ISIG),
        51: (_LOCAL, termios.ICANON),
        53: (_LOCAL, termios.ECHO),
        54: (_LOCAL, termios.ECHOE),
        55: (_LOCAL, termios.ECHOK),
        56: (_LOCAL, termios.ECHONL),
        57: (_LOCAL, termios.NOFLSH),
        58: (_LOCAL, termios.TOSTOP),
        59: (_LOCAL, termios.IEXTEN),
        60: (_LOCAL, termios.ECHOCTL),
        61: (_LOCAL, termios.ECHOKE),
        62: (_LOCAL, termios.PENDIN),
        70: (_OUTPUT, termios.OPOST),
        72: (_OUTPUT, termios.ONLCR),
        73: (_OUTPUT, termios.OCRNL),
        74: (_OUTPUT, termios.ONOCR),
        75: (_OUTPUT, termios.ONLRET),
    }
)

Size = tuple[int, int, int, int]
"""Columns, rows, width and height in pixels, as SSH orders them."""


@dataclass(frozen=True, slots=True)
class TerminalRequest:
    """What the engineer's client asked for."""

    term: str
    size: Size
    modes: Mapping[int, int]


def prepare(master: int, slave: int, request: TerminalRequest, *, uid: int, gid: int) -> None:
    """Give a new pseudo-terminal to ``uid``, and make it what the client asked for.

    Raises:
        OSError: the kernel refuses.
    """
    if os.geteuid() == 0:
        os.fchown(slave, uid, _terminal_group(gid))
    os.fchmod(slave, 0o620)
    resize(master, request.size)
    _apply(slave, request.modes)


def resize(master: int, size: Size) -> None:
    """Set the window size, which signals SIGWINCH to the foreground."""
    columns, rows, width, height = (min(value, 0xFFFF) for value in size)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, width, height))


def send_break(master: int) -> None:
    """Send a break, which a pseudo-terminal takes and ignores."""
    with contextlib.suppress(OSError, termios.error):
        termios.tcsendbreak(master, 0)


def _apply(slave: int, modes: Mapping[int, int]) -> None:
    attributes = termios.tcgetattr(slave)
    for mode, value in modes.items():
        if mode in _CONTROL_CHARACTERS and value <= _NO_CHARACTER:
            attributes[_CHARACTERS][_CONTROL_CHARACTERS[mode]] = b"\0" if value == _NO_CHARACTER else bytes([value])
        elif mode in _FLAGS:
            word, flag = _FLAGS[mode]
            attributes[word] = attributes[word] | flag if value else attributes[word] & ~flag
    with contextlib.suppress(termios.error):  # a combination that the kernel does not have leaves its own
        termios.tcsetattr(slave, termios.TCSANOW, attributes)


def _terminal_group(otherwise: int) -> int:
    """Return the group that write(1) and its like run as, as sshd does."""
    try:
        return grp.getgrnam("tty").gr_gid
    except KeyError:
        return otherwise
