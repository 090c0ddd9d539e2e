"""Entry point of ``latch``: dispatches ``connect`` before anything heavy is imported, and alone sets exit codes."""

import os
import sys

DONE = 0
FAILED = 1
USAGE = 2
REFUSED = 3
UNREACHABLE = 4


def main() -> int:
    """Run the command and return its exit code: 0 done, 1 failed, 2 usage, 3 refused, 4 unreachable."""
    arguments = sys.argv[1:]
    try:
        if len(arguments) == 2 and arguments[0] == "connect" and not arguments[1].startswith("-"):  # noqa: PLR2004 - connect HOST
            return _connect(arguments[1])
        return _run(arguments)
    except KeyboardInterrupt:
        return FAILED


def say(line: str) -> None:
    """Say one line on standard error, if there is one: `print` would turn to standard output, where `ssh` listens."""
    if sys.stderr is not None:
        print(f"latch: {line}", file=sys.stderr)  # noqa: T201 - the one line that people get


def exit_code(error: Exception | None) -> int:
    """Say on standard error what went wrong, in one line, and return the code for it."""
    from latchstring.client.errors import RefusedError, UnreachableError, UsageFaultError  # noqa: PLC0415 - as above

    if error is None:
        return DONE
    say(str(error))
    for kind, code in ((UsageFaultError, USAGE), (RefusedError, REFUSED), (UnreachableError, UNREACHABLE)):
        if isinstance(error, kind):
            return code
    return FAILED


def _run(arguments: list[str]) -> int:
    from latchstring.client.cli import run  # noqa: PLC0415 - `connect` must not pay for it

    try:
        code = exit_code(run(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the answer has heard enough; the interpreter must not try to flush the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code


def _connect(host: str) -> int:
    import gc  # noqa: PLC0415 - only this command needs it
    import time  # noqa: PLC0415 - as above

    gc.disable()  # a process that lives for milliseconds leaves no garbage worth looking for

    from latchstring.client.connect import STANDARD_OUTPUT, World, connect  # noqa: PLC0415 - other commands need not load it
    from latchstring.client.errors import ClientError  # noqa: PLC0415 - as above

    try:
        connect(host, output=STANDARD_OUTPUT, world=World(os.environ, time.monotonic, say))
    except ClientError as error:
        return exit_code(error)
    # ssh waits for our end, and nothing is left to clean up: skip the interpreter's own farewell.
    os._exit(DONE)


if __name__ == "__main__":
    sys.exit(main())
