# ruff: noqa: PLC0415 - the types are imported when an option is used, so that `--help` is quick
"""Options that several commands share, and the types of their values."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class Duration(click.ParamType[int]):
    """A duration such as ``30m``, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds."""
        from latchstring.protocol.durations import format_duration, parse_duration
        from latchstring.protocol.grants import MAX_DURATION_SECONDS

        try:
            seconds = parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds > MAX_DURATION_SECONDS:
            self.fail(f"{value} is too long; at most {format_duration(MAX_DURATION_SECONDS)}", param, ctx)
        return seconds


class CapabilityList(click.ParamType[tuple[str, ...]]):
    """Capabilities, separated by commas."""

    name = "capabilities"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the capabilities."""
        from latchstring.protocol.capabilities import normalise, parse_capability

        try:
            return normalise(tuple(parse_capability(word.strip()) for word in str(value).split(",")))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class NoteText(click.ParamType[str]):
    """A short note without content."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the note."""
        from latchstring.protocol.purposes import parse_note

        try:
            return parse_note(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def data_option(command: Command) -> Command:
    """Add ``--data DIR``, also from ``LATCH_DATA``."""
    return click.option(
        "--data",
        "path",
        envvar="LATCH_DATA",
        required=True,
        show_envvar=True,
        metavar="DIR",
        type=click.Path(path_type=Path, readable=False),
        help="The endpoint's data directory.",
    )(command)


def json_option(command: Command) -> Command:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")(command)


def absolute(path: Path) -> Path:
    """Return the directory that ``path`` names, whatever links lead there."""
    return Path(os.path.realpath(path))
