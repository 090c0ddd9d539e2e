"""The head of what is shown about a session: from the log alone, and how the controller's own table departs from it."""

from collections.abc import Mapping, Sequence

from latchstring.client.audit.faults import DiscrepancyError
from latchstring.client.audit.lifecycle import SessionLifecycles
from latchstring.client.audit.reading import ReadEntry
from latchstring.client.errors import one_line
from latchstring.protocol.api import SessionView
from latchstring.protocol.events import SessionRequested


def request_in(entries: Sequence[ReadEntry]) -> SessionRequested | None:
    """Return the request among a session's entries, None if the log holds none."""
    return next((read.entry.event for read in entries if isinstance(read.entry.event, SessionRequested)), None)


def differences(requested: SessionRequested, row: SessionView) -> list[str]:
    """Return in which fields the controller's table says something else than its log, and what."""
    compared = (
        ("account", row.engineer.account_id, requested.account_id),
        ("endpoint", row.endpoint_id, requested.endpoint_id),
        ("purpose", row.purpose, requested.purpose),
        ("ticket", row.ticket, requested.ticket),
    )
    return [
        f"{field} is {one_line(str(in_row or 'none'))}, and in the log {one_line(str(in_log or 'none'))}"
        for field, in_row, in_log in compared
        if in_row != in_log
    ]


def header(
    requested: SessionRequested, row: SessionView, entries: Sequence[ReadEntry], names: Mapping[str, str]
) -> list[str]:
    """Return who asked for what and what became of it, as the log has it.

    Names are not in the log. The engineer's is taken from the table's row only if the row is about the same account.

    Args:
        requested: the request in the log.
        row: the session in the controller's table.
        entries: all entries of the log about the session, in their order.
        names: id to name, of endpoints.
    """
    engineer = row.engineer
    who = requested.account_id
    if engineer.account_id == requested.account_id:
        who = f"{one_line(engineer.name)} <{one_line(engineer.email)}> ({who})"
    endpoint = one_line(names.get(requested.endpoint_id, requested.endpoint_id))
    return [
        f"{requested.session_id} on {endpoint} of {one_line(entries[0].owner)}: {_state(requested, entries)}",
        f"  by {who}, {requested.purpose}"
        + (f", ticket {one_line(requested.ticket)}" if requested.ticket else "")
        + (f", {one_line(requested.note)}" if requested.note else ""),
    ]


def _state(requested: SessionRequested, entries: Sequence[ReadEntry]) -> str:
    """Return the state that the log's entries lead to; one that does not fit moves nothing."""
    lifecycles = SessionLifecycles()
    for read in entries:
        try:
            lifecycles.observe(read.entry.event, endpoint_id=read.endpoint_id)
        except DiscrepancyError:
            continue  # what `latch audit verify` tells
    return str(lifecycles.state(requested.session_id))
