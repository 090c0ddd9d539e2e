# ruff: noqa: PLC0415 - what a command does is imported when it runs, so that `--help` is quick
"""``enroll`` and ``run``."""

import os
import sys
from pathlib import Path

import click

from latchstring.endpoint.cli.options import absolute, data_option

_MAX_PIPED = 2000


@click.command(
    epilog="""\b
Examples:
  latch-endpoint enroll latch1.AbCd… --data /var/lib/latch-endpoint
  latch-endpoint enroll - --data /var/lib/latch-endpoint    # asks for the code, or takes it from a pipe
"""
)
@click.argument("code")
@click.option("--proxy", metavar="URL", help="An HTTP proxy on the way to the controller; kept in endpoint.toml.")
@click.option(
    "--run-as", metavar="NAME", help="The account that sessions run as, which nothing else trusts; kept in policy.toml."
)
@data_option
def enroll(*, code: str, proxy: str | None, run_as: str | None, path: Path) -> None:
    """Enrol this machine with the one-time CODE from the vendor.

    All keys are made here and never leave. Afterwards access is `ask`: nobody gets in without your yes. An agent that
    runs as root lets nobody in at all until the policy names the account that sessions run as (--run-as).

    While the command runs, other accounts of this machine can read a CODE that was typed as its argument: give `-`
    where that matters.
    """
    import asyncio

    from latchstring.endpoint.clock import SystemClock
    from latchstring.endpoint.enrol import enrol, parse_run_as
    from latchstring.endpoint.errors import EnrolmentError, UsageFaultError
    from latchstring.endpoint.proxies import parse_proxy
    from latchstring.protocol.enrolment import EnrolmentCodeError, parse_enrolment_code

    try:
        parsed = parse_enrolment_code(_ask_for_code() if code == "-" else code)
        if proxy is not None:
            parse_proxy(proxy)
        if run_as is not None:
            parse_run_as(run_as)
    except EnrolmentCodeError as error:
        raise EnrolmentError(str(error)) from error
    except ValueError as error:
        raise UsageFaultError(f"--proxy: {error}") from error
    response = asyncio.run(enrol(parsed, absolute(path), clock=SystemClock(), proxy=proxy, run_as=run_as))
    click.echo(
        f"enrolled as {response.endpoint_name} of {response.customer_name} with {response.controller_name}; "
        f"access is ask. Next: latch-endpoint run --data {path}"
    )
    if run_as is None and os.geteuid() == 0:
        click.echo(
            f'an agent that runs as root lets nobody in before {path}/policy.toml says `run_as = "NAME"`, the account '
            "of sessions",
            err=True,
        )


def _ask_for_code() -> str:
    if sys.stdin.isatty():
        asked: str = click.prompt("Enrolment code (not shown)", hide_input=True, err=True, type=str)
        return asked
    return sys.stdin.read(_MAX_PIPED)


@click.command()
@data_option
def run(*, path: Path) -> None:
    """Run the agent, in the foreground.

    Prints one line when it is ready. SIGTERM and Ctrl-C end every session, and then the agent.
    SIGHUP has it read its policy again.
    """
    from latchstring.endpoint.clock import SystemClock
    from latchstring.endpoint.data_directory import open_directory
    from latchstring.endpoint.foreground import run_in_foreground

    run_in_foreground(open_directory(path, to_run=True), clock=SystemClock(), announce=click.echo)
