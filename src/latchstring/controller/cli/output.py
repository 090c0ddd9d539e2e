"""What commands print: answers on stdout, hints on stderr for people only."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click


def print_listing(key: str, rows: Sequence[Mapping[str, Any]], *, as_json: bool, nothing: str) -> None:
    """Print ``rows``: as ``{key: [...]}`` in JSON, else as aligned columns under the rows' keys.

    Args:
        key: the document's one key.
        rows: each with the same keys, in the order of the columns.
        as_json: which of both.
        nothing: what to tell a person when there are no rows.
    """
    if as_json:
        click.echo(json.dumps({key: list(rows)}, indent=2))
    elif rows:
        lines = [[name.replace("_", " ").upper() for name in rows[0]]]
        lines += [[_cell(value) for value in row.values()] for row in rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        for line in lines:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    else:
        hint(nothing)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def hint(text: str) -> None:
    """Tell a person at a terminal what may come next; a program that reads stderr gets nothing."""
    if sys.stderr.isatty():
        click.echo(text, err=True)
