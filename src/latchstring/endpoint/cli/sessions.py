# ruff: noqa: PLC0415 - what a command does is imported when it runs, so that `--help` is quick
"""``sessions``, ``end`` and ``status``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from latchstring.endpoint.cli.options import data_option, json_option

if TYPE_CHECKING:
    from latchstring.endpoint.data_directory import DataDirectory
    from latchstring.endpoint.local.messages import SessionView, StatusAnswer

_TOLERATED_SKEW_SECONDS = 60
_RELAY_WAYS = {
    None: "not needed yet",
    "direct": "reached directly",
    "websocket": "reached through the controller's port for endpoints only, which is slower: is its own port blocked?",
}


@click.command()
@json_option
@data_option
def sessions(*, as_json: bool, path: Path) -> None:
    """List the live sessions: who is in, why, with what, and for how long still."""
    from latchstring.endpoint.cli.output import hint, print_document
    from latchstring.endpoint.data_directory import open_directory
    from latchstring.endpoint.local.client import ask
    from latchstring.endpoint.local.messages import ListSessions, SessionList

    answer = ask(open_directory(path).socket, ListSessions(), SessionList)
    if as_json:
        print_document(answer)
        return
    for number, session in enumerate(answer.sessions):
        if number:
            click.echo()
        _show_session(session)
    hint(f"end one with `latch-endpoint end ID --data {path}`" if answer.sessions else "nobody is in")


@click.command(epilog="\b\nExample:\n  latch-endpoint end k3v\n")
@click.argument("id")
@json_option
@data_option
def end(id: str, *, as_json: bool, path: Path) -> None:  # noqa: A002 - the argument's name in the help
    """End a session at once: kill everything that it started, and prove it."""
    from latchstring.endpoint.cli.output import print_document
    from latchstring.endpoint.data_directory import open_directory
    from latchstring.endpoint.local.client import ask
    from latchstring.endpoint.local.messages import End, Ended

    ended = ask(open_directory(path).socket, End(id=id), Ended)
    if as_json:
        print_document(ended)
    else:
        click.echo(f"{ended.id} ended: {ended.processes_left} processes left, {ended.milliseconds} ms")


@click.command()
@json_option
@data_option
def status(*, as_json: bool, path: Path) -> None:
    """Say how this endpoint is: the switch, the connection, the clock, the journal."""
    from latchstring.endpoint.cli.output import print_document
    from latchstring.endpoint.data_directory import open_directory
    from latchstring.endpoint.local.client import AgentNotRunningError, ask
    from latchstring.endpoint.local.messages import GetStatus, StatusAnswer

    directory = open_directory(path)
    try:
        answer = ask(directory.socket, GetStatus(), StatusAnswer)
    except AgentNotRunningError:
        answer = _without_agent(directory)
    if as_json:
        print_document(answer)
    else:
        _show_status(answer)


def _without_agent(directory: "DataDirectory") -> "StatusAnswer":
    from latchstring.endpoint.clock import SystemClock
    from latchstring.endpoint.identity import load_identity
    from latchstring.endpoint.local.messages import StatusAnswer
    from latchstring.endpoint.offline_access import read_access

    enrolment, setting = load_identity(directory).enrolment, read_access(directory, SystemClock())
    return StatusAnswer(
        running=False,
        endpoint=enrolment.endpoint_name,
        endpoint_id=enrolment.endpoint_id,
        customer=enrolment.customer_name,
        controller=enrolment.controller_name,
        access=setting.mode,
        access_until=setting.until,
        access_then=setting.following,
    )


def _show_session(session: "SessionView") -> None:
    from latchstring.endpoint.cli.output import local_time, print_rows, roughly

    ticket = f", ticket {session.ticket}" if session.ticket is not None else ""
    rows = [
        ("session", f"{session.id} ({session.state})"),
        ("who", f"{session.engineer.name} <{session.engineer.email}>"),
        ("key", session.engineer_key),
        ("why", f"{session.purpose}{ticket}"),
        *([] if session.note is None else [("note", session.note)]),
        ("may do", ", ".join(session.capabilities)),
        ("until", f"{local_time(session.expires_at)}, {roughly(session.seconds_left)} left"),
        ("connections", str(session.connections)),
    ]
    print_rows(rows)


def _show_status(answer: "StatusAnswer") -> None:
    from latchstring.endpoint.cli.output import local_time, print_rows

    until = (
        "" if answer.access_until is None else f" until {local_time(answer.access_until)}, then {answer.access_then}"
    )
    rows = [
        ("endpoint", f"{answer.endpoint} ({answer.endpoint_id}) of {answer.customer}"),
        ("access", f"{answer.access}{until}"),
        ("agent", f"running, version {answer.agent_version}" if answer.running else "not running"),
    ]
    if answer.running:
        rows += [
            ("controller", f"{answer.controller}, {_connection(answer)}"),
            ("relay", _RELAY_WAYS[answer.relay_way]),
            ("clock", _clock(answer.clock_skew_seconds)),
            ("requests", f"{answer.requests_waiting} waiting"),
            ("sessions", f"{answer.live_sessions} live"),
            ("run as", answer.sessions_run_as or "no account of this machine"),
            ("sandbox", "works" if answer.sandbox_problem is None else answer.sandbox_problem),
            ("policy", "in force as its file says" if answer.policy_problem is None else answer.policy_problem),
            ("journal", _journal(answer)),
        ]
    print_rows(rows)


def _connection(answer: "StatusAnswer") -> str:
    if answer.connected:
        return "connected"
    return f"not connected: {answer.connection_problem or 'connecting'}"


def _clock(skew: int | None) -> str:
    from latchstring.endpoint.cli.output import roughly

    if skew is None:
        return "not compared with the controller's yet"
    if abs(skew) < _TOLERATED_SKEW_SECONDS:
        return "agrees with the controller's"
    direction = "ahead of" if skew > 0 else "behind"
    return f"this machine's clock is {roughly(abs(skew))} {direction} the controller's; sessions work, but set it right"


def _journal(answer: "StatusAnswer") -> str:
    size, told = answer.journal_size or 0, answer.journal_acknowledged or 0
    pending = f", {size - told} not yet with the controller" if told < size else ""
    broken = "" if answer.journal_available else "; it cannot be written now, so nothing opens"
    return f"{size} entries{pending}{broken}"
