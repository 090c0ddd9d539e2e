"""Runs a command line, and turns what went wrong into the one error that ``__main__`` prints."""

from collections.abc import Sequence

import click

from latchstring.client.cli.commands import latch
from latchstring.client.errors import ClientError, UsageFaultError


def run(arguments: Sequence[str]) -> Exception | None:
    """Run a command line. Return what went wrong, None if nothing did."""
    try:
        latch.main(args=list(arguments), prog_name="latch", standalone_mode=False)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "latch"
        return UsageFaultError(f"{error.format_message().rstrip('.')}: see `{command} --help`")
    except click.ClickException as error:
        return ClientError(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        return ClientError("interrupted")
    except ClientError as error:
        return error
    return None
