"""``latch audit list``, ``show`` and ``verify``."""

from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter, ValidationError

from latchstring.client.actions.context import CommandContext
from latchstring.client.actions.output import ProgressLine, answer, answer_json, local_time
from latchstring.client.actions.session_ids import MAX_SESSIONS, resolve_session_id
from latchstring.client.audit.describe import describe
from latchstring.client.audit.faults import LogFaultError
from latchstring.client.audit.memory import LogMemory
from latchstring.client.audit.reading import ReadEntry, newest_entries, session_entries
from latchstring.client.audit.report import LogReport, missing_log, owner_of
from latchstring.client.audit.session_header import differences, header, request_in
from latchstring.client.audit.verification import OPERATOR_LOG, LogVerifier
from latchstring.client.controller_api import ControllerApi, Reading
from latchstring.client.errors import ClientError, HomeError, LoginNeededError, TrustError, UnreachableError, one_line
from latchstring.client.login import connect_to_controller
from latchstring.protocol.api import LogView
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
        what = describe(read.entry.event, names) + _when(read)
        answer(f"{local_time(read.entry.time)}  {one_line(read.owner)}  {what}")


def show_session(context: CommandContext, session: str, *, as_json: bool) -> None:
    """Print all that the log says about a session, and fail if the controller's table says something else."""
    with connect_to_controller(context.home) as api:
        session_id = resolve_session_id(api, session, everybody=True)
        row = api.session(session_id)
        logs = _logs(api, "show", session_id)
        entries = session_entries(api, [log for log in logs if log.customer == row.customer], session_id)
        names = {} if as_json else _names(api)
    if not entries:
        raise ClientError(f"no log that you may read says anything about {session_id}")
    requested = request_in(entries)
    if requested is None:
        differ = ["the log holds no request of it"]
        lines = [f"{session_id} of {one_line(entries[0].owner)}"]
    else:
        differ = differences(requested, row)
        lines = header(requested, row, entries, names)
    if as_json:
        events = [read.document() for read in entries]
        answer_json({"session": row.model_dump(mode="json"), "events": events, "differences": differ})
    else:
        if differ:
            lines.append(f"  the controller's session table differs from its log: {'; '.join(differ)}")
        for line in [*lines, *_event_lines(entries, names)]:
            answer(line)
    if differ:
        raise ClientError(f"what the controller's session table says about {session_id} is not what its log says")


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
            for line in report.lines():
                answer(line)
    failed = [report for report in reports if report.failure is not None]
    if failed:
        counted = f"{len(failed)} of {len(reports)} logs failed verification"
        raise ClientError(f"{counted}; first, {failed[0].owner}: {failed[0].failure}")


def _verify_log(verifier: LogVerifier, log: LogView) -> LogReport:
    progress = ProgressLine()

    def show(done: int, total: int) -> None:
        if done % _PROGRESS_ENTRIES == 0 or done == total:
            progress.show(f"{owner_of(log)}: {done} of {total} entries")

    try:
        return LogReport(log.id, log.customer, verifier.verify(log, progress=show))
    except LogFaultError as error:
        return LogReport(log.id, log.customer, error)
    except (HomeError, LoginNeededError, TrustError):
        raise  # about us or the whole controller, not about this log
    except ClientError as error:
        return LogReport(log.id, log.customer, LogFaultError(f"the controller does not deliver it: {error}"))
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


def _event_lines(entries: Sequence[ReadEntry], names: Mapping[str, str]) -> list[str]:
    """Return one line for each entry: when, who says it, and what."""
    speakers = [_who(read, names) for read in entries]
    width = max(map(len, speakers), default=0)
    return [
        f"  {local_time(read.entry.time)}  {who:{width}}  "
        f"{describe(read.entry.event, names, within_session=True)}{_when(read)}"
        for read, who in zip(entries, speakers, strict=True)
    ]


def _when(read: ReadEntry) -> str:
    """Return when it happened, for what was reported late, or by a clock that is wrong."""
    return "" if read.happened_at is None else f" · happened {local_time(read.happened_at)} by the endpoint's clock"


def _who(read: ReadEntry, names: Mapping[str, str]) -> str:
    """Return the side that says it, and of the customer's the endpoint."""
    if read.endpoint_id is None:
        return "vendor"
    return f"customer {one_line(names.get(read.endpoint_id, read.endpoint_id))}"
