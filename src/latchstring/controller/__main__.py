"""The ``latch-controller`` program: runs a command, and turns what went wrong into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 usage.
"""

import os
import sys
from typing import Final

import click

from latchstring.controller.cli.main import cli
from latchstring.controller.setup_error import SetupError

PROGRAM: Final = "latch-controller"
FAILED: Final = 1
USAGE: Final = 2


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
    except (Exception, KeyboardInterrupt) as error:
        explained = _explain(error)
        if explained is None:
            raise
        line = " ".join(explained.split())
        click.echo(f"{PROGRAM}: {line}", err=True)
        return USAGE if isinstance(error, click.UsageError) else FAILED
    return code if isinstance(code, int) else 0


def _explain(error: BaseException) -> str | None:
    """Return what to tell of ``error``; None if it is a mistake of our own, which deserves its traceback."""
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
        case SetupError():
            return str(error)
        case _:
            return str(error) if isinstance(error, _expected_errors()) else None


def _expected_errors() -> tuple[type[Exception], ...]:
    """Return the errors of the services, imported only once one of them may have come."""
    from latchstring.certs.controller_keys import ControllerKeysError  # noqa: PLC0415 - keeps --help quick
    from latchstring.certs.errors import CertificateError  # noqa: PLC0415 - keeps --help quick
    from latchstring.certs.keyfiles import KeyFileError  # noqa: PLC0415 - keeps --help quick
    from latchstring.controller.errors import ControllerError  # noqa: PLC0415 - keeps --help quick
    from latchstring.protocol.problems import ProblemError  # noqa: PLC0415 - keeps --help quick

    return (ControllerError, ControllerKeysError, CertificateError, KeyFileError, ProblemError)


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    click.echo(f"{PROGRAM}: {line}", err=True)
    return code


if __name__ == "__main__":
    main()
