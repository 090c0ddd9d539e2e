# ruff: noqa: PLC0415 - what a command does is imported when it runs, so that `--help` is quick
"""``requests``, ``approve`` and ``refuse``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from latchstring.endpoint.cli.options import CapabilityList, Duration, NoteText, data_option, json_option

if TYPE_CHECKING:
    from latchstring.endpoint.local.messages import RequestView


@click.command()
@json_option
@data_option
def requests(*, as_json: bool, path: Path) -> None:
    """List the requests that wait for your answer: who asks, why, for what, and for how long."""
    from latchstring.endpoint.cli.output import hint, print_document
    from latchstring.endpoint.data_directory import open_directory
    from latchstring.endpoint.local.client import ask
    from latchstring.endpoint.local.messages import ListRequests, RequestList

    answer = ask(open_directory(path).socket, ListRequests(), RequestList)
    if as_json:
        print_document(answer)
        return
    for number, request in enumerate(answer.requests):
        if number:
            click.echo()
        _show(request)
    if answer.requests:
        hint(f"say yes with `latch-endpoint approve ID --data {path}`, no with `refuse`")
    else:
        hint("nobody is asking")


@click.command(
    epilog="""\b
Examples:
  latch-endpoint approve ses-k3v7q2m4n5p6r7s2
  latch-endpoint approve k3v --allow exec,sftp_read --for 30m    # any unique beginning will do
"""
)
@click.argument("id")
@click.option("--for", "seconds", type=Duration(), metavar="DURATION", help="For less time than was asked for.")
@click.option("--allow", type=CapabilityList(), metavar="LIST", help="Only these of what was asked for.")
@json_option
@data_option
def approve(id: str, *, seconds: int | None, allow: tuple[str, ...] | None, as_json: bool, path: Path) -> None:  # noqa: A002 - the argument's name in the help
    """Say yes to a request, to all of it or to less."""
    from latchstring.endpoint.cli.output import print_document
    from latchstring.endpoint.data_directory import open_directory
    from latchstring.endpoint.local.client import ask
    from latchstring.endpoint.local.messages import Approve, Decided
    from latchstring.protocol.durations import format_duration

    request = Approve(id=id, capabilities=allow, seconds=seconds)
    decided = ask(open_directory(path).socket, request, Decided)
    if as_json:
        print_document(decided)
    else:
        click.echo(
            f"{decided.id} of {decided.engineer.name} <{decided.engineer.email}> approved: "
            f"{', '.join(decided.capabilities or ())} for {format_duration(decided.seconds or 0)}"
        )


@click.command(epilog='\b\nExample:\n  latch-endpoint refuse k3v --reason "not during office hours"\n')
@click.argument("id")
@click.option("--reason", type=NoteText(), metavar="TEXT", help="A short note for the engineer; it goes into the log.")
@json_option
@data_option
def refuse(id: str, *, reason: str | None, as_json: bool, path: Path) -> None:  # noqa: A002 - as above
    """Say no to a request."""
    from latchstring.endpoint.cli.output import print_document, warn
    from latchstring.endpoint.data_directory import open_directory
    from latchstring.endpoint.local.client import ask
    from latchstring.endpoint.local.messages import Decided, Refuse

    decided = ask(open_directory(path).socket, Refuse(id=id, note=reason), Decided)
    if as_json:
        print_document(decided)
        return
    click.echo(f"{decided.id} of {decided.engineer.name} <{decided.engineer.email}> refused")
    if decided.note is not None:
        warn(decided.note)


def _show(request: "RequestView") -> None:
    from latchstring.endpoint.cli.output import local_time, print_rows, roughly
    from latchstring.protocol.durations import format_duration

    rows = [("request", request.id), ("who", f"{request.engineer.name} <{request.engineer.email}>")]
    rows.append(("key", request.engineer_key))
    ticket = f", ticket {request.ticket}" if request.ticket is not None else ""
    rows.append(("why", f"{request.purpose}{ticket}"))
    if request.note is not None:
        rows.append(("note", request.note))
    rows.append(("may do", ", ".join(request.capabilities)))
    cut = [capability for capability in request.requested_capabilities if capability not in request.capabilities]
    if cut:
        rows.append(("not", f"{', '.join(cut)} (asked for; the policy does not allow it)"))
    shorter = f" (asked for {format_duration(request.requested_seconds)})"
    limit = shorter if request.seconds < request.requested_seconds else ""
    rows.append(("for", f"{format_duration(request.seconds)}{limit}"))
    rows.append(("asked", f"{local_time(request.received_at)}, lapses in {roughly(request.lapses_in_seconds)}"))
    print_rows(rows)
