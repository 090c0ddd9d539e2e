# ruff: noqa: PLC0415 - `access off` is said first, the rest is imported after it
"""The ``latch-endpoint`` program: runs a command, and turns what went wrong into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 unreachable.
"""

import os
import sys
from typing import TYPE_CHECKING, Final

from latchstring.endpoint.local.off_signal import say_off_early

if TYPE_CHECKING:
    from socket import socket

PROGRAM: Final = "latch-endpoint"
DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
REFUSED: Final = 3
UNREACHABLE: Final = 4


def main() -> None:
    """Run the program."""
    arguments = sys.argv[1:]
    sys.exit(run(arguments, early=say_off_early(arguments, os.environ)))


def run(arguments: list[str], *, early: "socket | None" = None) -> int:
    """Run one command line and return its exit code.

    Args:
        arguments: the command line.
        early: the connection on which the agent was told ``off`` already.
    """
    import click

    from latchstring.endpoint.cli.main import cli
    from latchstring.endpoint.errors import EndpointError

    try:
        code = cli.main(arguments, prog_name=PROGRAM, standalone_mode=False, obj=early)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our answer is gone; a second error from the flush at exit would help nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (click.ClickException, click.Abort, KeyboardInterrupt, EndpointError, OSError) as error:
        click.echo(f"{PROGRAM}: {' '.join(_explain(error).split())}", err=True)
        return _code(error)
    return code if isinstance(code, int) else DONE


def _code(error: BaseException) -> int:
    import click

    from latchstring.endpoint.errors import RefusedError, UnreachableError, UsageFaultError

    match error:
        case click.UsageError() | UsageFaultError():
            return USAGE
        case RefusedError():
            return REFUSED
        case UnreachableError():
            return UNREACHABLE
        case _:
            return FAILED


def _explain(error: BaseException) -> str:
    import click

    match error:
        case click.UsageError():
            help_ = f" (see {error.ctx.command_path} --help)" if error.ctx is not None else ""
            return error.format_message() + help_
        case click.ClickException():
            return error.format_message()
        case click.Abort() | KeyboardInterrupt():
            return "interrupted"
        case OSError():
            return f"{error.filename or 'the system'}: {error.strerror or error}"
        case _:
            return str(error)


if __name__ == "__main__":
    main()
