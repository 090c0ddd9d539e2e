"""``latch audit list``, ``show`` and ``verify``."""

from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from latchstring.client.actions.context import CommandContext
from latchstring.client.actions.output import ProgressLine, answer, answer_json, local_time
from latchstring.client.actions.session_ids import MAX_SESSIONS, resolve_session_id
from latchstring.client.audit.describe import describe
from latchstring.client.audit.faults import LogFaultError
from latchstring.client.audit.memory import LogMemory
from latchstring.client.audit.reading import ReadEntry, newest_entries, session_entries
from latchstring.client.audit.report import LogReport, missing_log, owner_of
from latchstring.client.audit.verification import OPERATOR_LOG, LogVerifier
from latchstring.client.controller_api import ControllerApi, Reading
from latchstring.client.errors import ClientError, UnreachableError, one_line
from latchstring.client.login import connect_to_controller
from latchstring.protocol.api import LogView, SessionView
from latchstring.protocol.ids import CustomerId

_CUSTOMER_ID: TypeAdapter[str] = TypeAdapter(CustomerId)
_PROGRESS_ENTRIES = 100


def list_events(context: CommandContext, *, customer: str | None, limit: int, as_json: bool) -> None:
    """Print the newest events, newest last."""
    with connect_to_controller(context.home) as api:
        logs = _select(_logs(api, "list"), customer)
        entries = newest_entries(api, logs, limit=limit)
        names = {} if as_json else _names(api)
    if as_json:
        answer_json({"events": [read.document() for read in entries]})
        return
    for read in entries:
        answer(f"{local_time(read.entry.time)}  {one_line(read.owner)}  {describe(read.entry.event, names)}")


def show_session(context: CommandContext, session: str, *, as_json: bool) -> None:
    """Print all that the log says about a session."""
    with connect_to_controller(context.home) as api:
        session_id = resolve_session_id(api, session, everybody=True)
        view = api.session(session_id)
        logs = _logs(api, "show", session_id)
        entries = session_entries(api, [log for log in logs if log.customer == view.customer], session_id)
        names = {} if as_json else _names(api)
    if not entries:
        raise ClientError(f"no log that you may read says anything about {session_id}")
    if as_json:
        answer_json({"session": view.model_dump(mode="json"), "events": [read.document() for read in entries]})
        return
    for line in _header(view):
        answer(line)
    for read in entries:
        said = describe(read.entry.event, names, within_session=True)
        answer(f"  {local_time(read.entry.time)}  {_who(read)}  {said}")


def verify(context: CommandContext, *, customer: str | None, as_json: bool) -> None:
    """Verify every log that the account may read, to its newest checkpoint."""
    config = context.home.read_config()
    memory = LogMemory(context.home, config.root_fingerprint)
    with connect_to_controller(context.home, config) as api:
        listed = _logs(api, "verify")
        verifier = LogVerifier(api, memory, config.controller_name, context.now)
        reports = [_verify_log(verifier, log) for log in _select(listed, customer)]
    if customer is None:
        reports += [missing_log(log_id) for log_id in sorted(memory.log_ids() - {log.id for log in listed})]
    if as_json:
        answer_json({"logs": [report.document() for report in reports]})
    else:
        for report in reports:
            answer(report.line())
    faults = [report for report in reports if report.fault is not None]
    if faults:
        counted = f"{len(faults)} of {len(reports)} logs failed verification"
        raise ClientError(f"{counted}; first, {faults[0].owner}: {faults[0].fault}")


def _verify_log(verifier: LogVerifier, log: LogView) -> LogReport:
    progress = ProgressLine()

    def show(done: int, total: int) -> None:
        if done % _PROGRESS_ENTRIES == 0 or done == total:
            progress.show(f"{owner_of(log)}: {done} of {total} entries")

    try:
        return LogReport(log.id, log.customer, verifier.verify(log, progress=show))
    except LogFaultError as error:
        return LogReport(log.id, log.customer, error)
    finally:
        progress.clear()


def _logs(api: ControllerApi, operation: Reading, session_id: str | None = None) -> tuple[LogView, ...]:
    """Return the logs, their ids checked: they become parts of paths, there and here."""
    logs = api.logs(operation, session_id=session_id).logs
    for log in logs:
        try:
            if log.id != OPERATOR_LOG:
                _CUSTOMER_ID.validate_python(log.id)
        except ValidationError as error:
            raise UnreachableError("the controller's list of logs is not understood: update latchstring") from error
    return logs


def _select(logs: Sequence[LogView], customer: str | None) -> Sequence[LogView]:
    if customer is None:
        return logs
    found = [log for log in logs if customer in (log.customer, log.id)]
    if not found:
        known = ", ".join(sorted(one_line(log.customer or log.id, 60) for log in logs))
        raise ClientError(f"there is no log of {one_line(customer, 80)!r}; there are: {known}")
    return found


def _names(api: ControllerApi) -> dict[str, str]:
    """Return id to name, of the endpoints and engineers that the controller tells us of."""
    names = {view.id: view.name for view in api.endpoints().endpoints}
    for view in api.sessions(limit=MAX_SESSIONS, everybody=True).sessions:
        names[view.engineer.account_id] = view.engineer.email
    return names


def _header(view: SessionView) -> list[str]:
    return [
        f"{view.id} on {view.endpoint} of {one_line(view.customer)}: {view.state}",
        f"  by {one_line(view.engineer.name)} <{view.engineer.email}>, {view.purpose}"
        + (f", ticket {view.ticket}" if view.ticket else "")
        + (f", {one_line(view.note)}" if view.note else ""),
    ]


def _who(read: ReadEntry) -> str:
    return "vendor  " if read.entry.attestation is None else "customer"
