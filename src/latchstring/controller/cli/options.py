"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
ROLES: Final = ("engineer", "auditor", "admin")


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


def role_option(command: Command) -> Command:
    """Add ``--role``."""
    return click.option("--role", required=True, type=click.Choice(ROLES), help="What the account may do.")(command)
