"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def data_option(command: Command) -> Command:
    """Add ``--data DIR``, also from ``LATCH_DATA``."""
    return click.option(
        "--data",
        "path",
        envvar="LATCH_DATA",
        required=True,
        show_envvar=True,
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="The controller's data directory.",
    )(command)


def json_option(command: Command) -> Command:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")(command)
