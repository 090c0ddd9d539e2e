"""What commands print: answers on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from latchstring.client.errors import one_line
from latchstring.protocol.durations import format_duration
from latchstring.protocol.times import parse_time

_MINUTE = 60
_COARSE_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def answer(line: str) -> None:
    """Print one line of the answer."""
    sys.stdout.write(f"{line}\n")


def answer_json(document: Any) -> None:
    """Print the answer as one JSON document."""
    # In ASCII: names and notes come from others, and may hold what draws on a terminal.
    answer(json.dumps(document, indent=2).replace("\x7f", "\\u007f"))


def tell(line: str) -> None:
    """Say something to a person beside the answer."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def answer_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, nothing: str) -> None:
    """Print rows under their columns, drawn on a terminal and aligned elsewhere. ``nothing`` is told if there are none.

    Cells may come from a remote party; control characters do not reach the terminal.
    """
    if not rows:
        tell(nothing)
        return
    cells = [[one_line(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw_table(columns, cells)
        return
    lines = [list(columns), *cells]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
    for line in lines:
        answer("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show that a long wait goes on: a spinner on a terminal, one plain line elsewhere."""
    if not sys.stderr.isatty():
        tell(text)
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - a fifth of a second that only terminals need
    from rich.markup import escape  # noqa: PLC0415 - as above

    with Console(stderr=True).status(escape(text)):
        yield


class ProgressLine:
    """How far a long task is: one line that changes on a terminal, nothing elsewhere."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def show(self, text: str) -> None:
        """Replace the line."""
        if self._shown:
            sys.stderr.write(f"\r\x1b[K{one_line(text)}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def local_time(timestamp: str | None) -> str:
    """Return a moment in the reader's own time zone."""
    if timestamp is None:
        return "-"
    return parse_time(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def relative_time(timestamp: str | None, now: datetime) -> str:
    """Return how long ago a moment was, or how far ahead it is, in one unit."""
    if timestamp is None:
        return "-"
    seconds = round((parse_time(timestamp) - now).total_seconds())
    coarse = next((f"{abs(seconds) // size}{unit}" for size, unit in _COARSE_UNITS if abs(seconds) >= size), None)
    if coarse is None:
        return "now"
    return f"in {coarse}" if seconds > 0 else f"{coarse} ago"


def duration(seconds: int | None) -> str:
    """Return a duration, without its seconds if it is long."""
    if seconds is None:
        return "-"
    return format_duration(seconds - seconds % _MINUTE if seconds >= _MINUTE * _MINUTE else seconds)


def _draw_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - a fifth of a second that only terminals need
    from rich.markup import escape  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415 - as above

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console().print(table)
