"""What the commands print: answers on stdout, everything else on stderr."""

import json
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import click
from pydantic import BaseModel

from latchstring.protocol.durations import format_duration
from latchstring.protocol.times import parse_time

_LEAST_ROOM: Final = 20
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN"})


def print_document(document: BaseModel | dict[str, Any]) -> None:
    """Print one JSON document."""
    value = document.model_dump(mode="json") if isinstance(document, BaseModel) else document
    # In ASCII: a command line may hold what draws on a terminal.
    click.echo(json.dumps(value, indent=2).replace("\x7f", "\\u007f"))


def print_rows(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values, the values under each other.

    On a terminal a long value goes on under its own column: what somebody else wrote must never begin a line, where it
    could pass for a row of ours.
    """
    width = max(len(name) for name, _ in rows)
    room = shutil.get_terminal_size().columns - width - 2 if sys.stdout.isatty() else 0
    for name, value in rows:
        first, *more = textwrap.wrap(value, room) or [""] if room >= _LEAST_ROOM else [value]
        click.echo(f"{name:<{width}}  {_isolated(first)}")
        for piece in more:
            click.echo(f"{'':<{width}}  {_isolated(piece)}")


def _isolated(text: str) -> str:
    """Return ``text`` so that letters that run from right to left do not reorder what stands beside them."""
    if any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text):
        return f"\u2068{text}\u2069"
    return text


def hint(text: str) -> None:
    """Tell a person at a terminal what may come next; a program that reads stderr gets nothing."""
    if sys.stderr.isatty():
        click.echo(text, err=True)


def warn(text: str) -> None:
    """Say something that the customer should know beside the answer."""
    click.echo(f"latch-endpoint: {text}", err=True)


def local_time(timestamp: str) -> str:
    """Return a point in time as people here write it."""
    moment: datetime = parse_time(timestamp).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def roughly(seconds: int) -> str:
    """Return a duration in its two largest units."""
    if seconds >= 2 * 86400:
        seconds -= seconds % 3600
    elif seconds >= 2 * 3600:
        seconds -= seconds % 60
    return format_duration(seconds)
