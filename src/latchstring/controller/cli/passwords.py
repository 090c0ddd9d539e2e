"""Passwords on their way in and out of a command: never an argument, never shown twice."""

import sys
from typing import Final

import click

from latchstring.controller.cli.output import hint

_MAX_PASSWORD_BYTES: Final = 4096


def read_password() -> str | None:
    """Return the first line of stdin; None if stdin is a terminal, closed or empty."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return None
    line = sys.stdin.buffer.readline(_MAX_PASSWORD_BYTES).rstrip(b"\r\n")
    try:
        return line.decode() or None
    except UnicodeDecodeError as error:
        raise click.UsageError("the password on stdin is not UTF-8 text") from error


def show_password(password: str) -> None:
    """Print a password that was made."""
    click.echo(password)
    hint("this is the password; it is shown only now")
