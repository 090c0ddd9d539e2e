"""The ``latch-endpoint`` program: runs a command, and turns what went wrong into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 unreachable.
"""

import os
import sys
from typing import Final

import click

from latchstring.endpoint.cli.main import cli
from latchstring.endpoint.errors import EndpointError, RefusedError, UnreachableError, UsageFaultError

PROGRAM: Final = "latch-endpoint"
DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
REFUSED: Final = 3
UNREACHABLE: Final = 4

_CODES: Final = (
    (click.UsageError, USAGE),
    (UsageFaultError, USAGE),
    (RefusedError, REFUSED),
    (UnreachableError, UNREACHABLE),
)


def main() -> None:
    """Run the program."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        code = cli.main(arguments, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our answer is gone; a second error from the flush at exit would help nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (click.ClickException, click.Abort, KeyboardInterrupt, EndpointError, OSError) as error:
        click.echo(f"{PROGRAM}: {' '.join(_explain(error).split())}", err=True)
        return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)
    return code if isinstance(code, int) else DONE


def _explain(error: BaseException) -> str:
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
