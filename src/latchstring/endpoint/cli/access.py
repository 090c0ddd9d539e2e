# ruff: noqa: PLC0415 - what a command does is imported when it runs, so that `--help` is quick
"""``access``: the switch."""

import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from latchstring.endpoint.cli.options import Duration, data_option, json_option
from latchstring.endpoint.local.off_signal import say_off

if TYPE_CHECKING:
    from latchstring.endpoint.local.messages import AccessAnswer
    from latchstring.endpoint.offline_access import SwitchMoved


@click.command(
    epilog="""\b
Examples:
  latch-endpoint access                # where does it stand?
  latch-endpoint access off            # end every session now, let nobody in
  latch-endpoint access ask            # let people ask; you say yes or no to each
  latch-endpoint access on --for 2h    # say yes to everything that the policy allows, for two hours
"""
)
@click.argument("mode", required=False, type=click.Choice(["on", "off", "ask"]))
@click.option(
    "--for",
    "seconds",
    type=Duration(),
    metavar="DURATION",
    help="For this long only. on and ask then fall back to off if it was off before, else to ask;"
    " off goes back to what it was.",
)
@json_option
@data_option
@click.pass_obj
def access(early: socket.socket | None, /, *, mode: str | None, seconds: int | None, as_json: bool, path: Path) -> None:
    """Show or move the switch: on, ask or off.

    Off ends every session at once, and works without the controller, with a full disk, and with an agent that hangs.
    """
    asked = early
    if mode == "off" and asked is None:
        asked = say_off(path, seconds)
    from latchstring.endpoint.cli.output import print_document
    from latchstring.endpoint.clock import SystemClock
    from latchstring.endpoint.data_directory import open_directory
    from latchstring.endpoint.local.messages import AccessAnswer, SetAccess
    from latchstring.endpoint.offline_access import move_access, read_access
    from latchstring.protocol.access import AccessMode

    directory, clock = open_directory(path), SystemClock()
    if mode is None:
        if seconds is not None:
            raise click.UsageError("--for needs a mode: on, ask or off")
        setting = read_access(directory, clock)
        answer = AccessAnswer(access=setting.mode, until=setting.until, then=setting.following)
        if as_json:
            print_document(answer)
        else:
            click.echo(answer.access)
            _show_end(answer)
        return
    request = SetAccess(mode=AccessMode(mode), seconds=seconds)
    moved = move_access(directory, clock, request, progress=_show_progress, asked=asked)
    if as_json:
        print_document(moved.answer)
    else:
        _show(moved, path)


def _show(moved: "SwitchMoved", path: Path) -> None:
    from latchstring.endpoint.cli.output import hint, warn

    answer = moved.answer
    if moved.agent_killed:
        click.echo(
            f"access is off; the agent did not answer, so it was killed and its sessions with it, "
            f"{answer.processes_left} processes left. Start it again: latch-endpoint run --data {path}"
        )
    elif answer.access == "off":
        sessions = "1 session" if answer.sessions_ended == 1 else f"{answer.sessions_ended} sessions"
        click.echo(f"access is off: {sessions} ended, {answer.processes_left} processes left, {answer.milliseconds} ms")
    else:
        click.echo(f"access is {answer.access}")
    _show_end(answer)
    if answer.note is not None:
        warn(answer.note)
    if answer.requests_waiting and answer.access != "off":
        hint(f"{answer.requests_waiting} waiting for your answer: latch-endpoint requests --data {path}")


def _show_end(answer: "AccessAnswer") -> None:
    from latchstring.endpoint.cli.output import hint, local_time

    if answer.until is not None:
        hint(f"until {local_time(answer.until)}, then {answer.then}")


def _show_progress(text: str) -> None:
    if sys.stderr.isatty() and text != "taken":
        click.echo(f"{text} …", err=True)
