"""Pseudo-terminals: modes and sizes arrive on the kernel's side."""

import fcntl
import os
import stat
import struct
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from latchstring.endpoint.sandbox.sandbox import OpenedTerminal
from latchstring.endpoint.ssh.terminal import TerminalRequest, prepare, resize, send_break

ECHO, ICANON, ICRNL, VINTR, VEOF, ISPEED = 53, 51, 36, 1, 5, 128


@contextmanager
def opened(modes: Mapping[int, int], size: tuple[int, int, int, int] = (80, 24, 0, 0)) -> Iterator[OpenedTerminal]:
    """Open a terminal for ourselves."""
    master, slave = os.openpty()
    terminal = OpenedTerminal(master, slave, os.ttyname(slave))
    try:
        prepare(master, slave, TerminalRequest("xterm", size, modes), uid=os.geteuid(), gid=os.getegid())
        yield terminal
    finally:
        os.close(terminal.master)
        os.close(terminal.slave)


def window(terminal: OpenedTerminal) -> tuple[int, ...]:
    """Return rows, columns and pixels, as the kernel has them."""
    return struct.unpack("4H", fcntl.ioctl(terminal.slave, termios.TIOCGWINSZ, bytes(8)))


def test_modes_are_applied() -> None:
    """Flags are set and cleared and characters changed as asked; what is unknown is left alone."""
    with opened({ECHO: 0, ICANON: 0, ICRNL: 1, VINTR: 5, VEOF: 255, ISPEED: 38400, 250: 7}) as terminal:
        attributes = termios.tcgetattr(terminal.slave)
        assert not attributes[3] & (termios.ECHO | termios.ICANON)
        assert attributes[3] & termios.ISIG
        assert attributes[0] & termios.ICRNL
        assert attributes[6][termios.VINTR] in {5, b"\x05"}
        assert attributes[6][termios.VEOF] in {0, b"\x00"}


def test_the_window_has_the_size_that_was_asked_for() -> None:
    """Columns and rows are not mixed up, a change arrives, and an absurd size is cut to what the kernel can hold."""
    with opened({}, (132, 43, 5, 6)) as terminal:
        assert window(terminal) == (43, 132, 5, 6)
        resize(terminal.master, (80, 24, 0, 0))
        assert window(terminal) == (24, 80, 0, 0)
        resize(terminal.master, (2**32 - 1, 1, 0, 0))
        assert window(terminal) == (1, 0xFFFF, 0, 0)


def test_nobody_else_may_read_a_terminal() -> None:
    """The slave belongs to the account, its name is below ``/dev/pts``, and others cannot open it."""
    with opened({}) as terminal:
        status = Path(terminal.name).stat()
        assert terminal.name.startswith("/dev/pts/")
        assert status.st_uid == os.geteuid()
        assert stat.S_IMODE(status.st_mode) == 0o620
        send_break(terminal.master)


@given(st.dictionaries(st.integers(0, 255), st.integers(0, 2**32 - 1), max_size=40))
def test_no_modes_break_it(modes: dict[int, int]) -> None:
    """Whatever a client sends as modes, a terminal is opened."""
    with opened(modes):
        pass
