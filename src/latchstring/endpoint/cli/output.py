"""What the commands print: answers on stdout, everything else on stderr."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
from pydantic import BaseModel

from latchstring.protocol.durations import format_duration
from latchstring.protocol.times import parse_time


def print_document(document: BaseModel | dict[str, Any]) -> None:
    """Print one JSON document."""
    value = document.model_dump(mode="json") if isinstance(document, BaseModel) else document
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_rows(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values, the values under each other."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")


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
