# ruff: noqa: PLC0415 - `access off` is said first, the rest is imported after it; the agent does without the commands
"""The ``latch-endpoint`` program: runs a command, and turns what went wrong into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 unreachable.
"""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from latchstring.endpoint.local.off_signal import DATA_VARIABLE, say_off_early

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
    from latchstring.endpoint.errors import EndpointError

    directory = agent_directory(arguments, os.environ)
    if directory is not None:
        try:
            _run_agent(directory)
        except (KeyboardInterrupt, EndpointError, OSError) as error:
            print(f"{PROGRAM}: {' '.join(_explain(error).split())}", file=sys.stderr)  # noqa: T201 - as click does
            return _code(error)
        return DONE
    return _run_command(arguments, early)


def agent_directory(arguments: list[str], environment: Mapping[str, str]) -> str | None:
    """Return whose agent is to run, if that is plainly what the command line means.

    An agent runs for months, and does without the 2 MB of all the other commands. What is less plain is the parser's.
    """
    match arguments:
        case ["run"] if environment.get(DATA_VARIABLE):
            return environment[DATA_VARIABLE]
        case ["run", "--data", directory] if directory and not directory.startswith("-"):
            return directory
        case _:
            return None


def _run_agent(directory: str) -> None:
    from pathlib import Path

    from latchstring.endpoint.clock import SystemClock
    from latchstring.endpoint.data_directory import open_directory
    from latchstring.endpoint.foreground import run_in_foreground

    def announce(line: str) -> None:
        print(line, flush=True)  # noqa: T201 - as click does

    run_in_foreground(open_directory(Path(directory), to_run=True), clock=SystemClock(), announce=announce)


def _run_command(arguments: list[str], early: "socket | None") -> int:
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
        click.echo(f"{PROGRAM}: {' '.join(_explain_click(error).split())}", err=True)
        return USAGE if isinstance(error, click.UsageError) else _code(error)
    return code if isinstance(code, int) else DONE


def _code(error: BaseException) -> int:
    from latchstring.endpoint.errors import RefusedError, UnreachableError, UsageFaultError

    match error:
        case UsageFaultError():
            return USAGE
        case RefusedError():
            return REFUSED
        case UnreachableError():
            return UNREACHABLE
        case _:
            return FAILED


def _explain(error: BaseException) -> str:
    match error:
        case KeyboardInterrupt():
            return "interrupted"
        case OSError():
            return f"{error.filename or 'the system'}: {error.strerror or error}"
        case _:
            return str(error)


def _explain_click(error: BaseException) -> str:
    import click

    match error:
        case click.UsageError():
            help_ = f" (see {error.ctx.command_path} --help)" if error.ctx is not None else ""
            return error.format_message() + help_
        case click.ClickException():
            return error.format_message()
        case click.Abort():
            return "interrupted"
        case _:
            return _explain(error)


if __name__ == "__main__":
    main()
