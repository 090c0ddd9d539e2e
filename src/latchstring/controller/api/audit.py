"""Reading the audit logs, which is itself logged."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from latchstring.controller.api.routes import Call, Nothing, Route
from latchstring.controller.api.services import LogOperation, Logs
from latchstring.protocol.api import MAX_PAGE, EntryPage, JournalKeyList, LogList
from latchstring.protocol.events import Count, Role
from latchstring.protocol.grants import Frozen
from latchstring.protocol.ids import CustomerId, SessionId

_AUDITORS: Final = frozenset({Role.AUDITOR, Role.ADMIN})
LogId = CustomerId | Literal["operator"]


class LogListQuery(Frozen):
    """Why the logs are read, which is logged."""

    operation: LogOperation = "list"
    session: SessionId | None = None


class EntriesQuery(Frozen):
    """Which entries."""

    start: Count = 0
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = MAX_PAGE


def audit_routes(logs: Logs) -> list[Route[Any, Any]]:
    """Return the routes of the audit logs."""

    async def list_logs(call: Call[Nothing, LogListQuery]) -> LogList:
        return await logs.list_logs(call.actor, call.query.operation, call.query.session)

    async def list_entries(call: Call[Nothing, EntriesQuery]) -> EntryPage:
        return await logs.entries(call.actor, call.path["log"], call.query.start, call.query.limit)

    async def list_journal_keys(call: Call[Nothing, Nothing]) -> JournalKeyList:
        return await logs.journal_keys(call.actor, call.path["log"])

    return [
        Route(
            method="GET",
            path="/audit/logs",
            operation_id="list_logs",
            summary="List the audit logs with their newest checkpoints.",
            handler=list_logs,
            roles=_AUDITORS,
            body=Nothing,
            query=LogListQuery,
            answer=LogList,
        ),
        Route(
            method="GET",
            path="/audit/logs/{log}/entries",
            operation_id="list_entries",
            summary="Read entries of a log.",
            handler=list_entries,
            roles=_AUDITORS,
            path_parameters={"log": LogId},
            body=Nothing,
            query=EntriesQuery,
            answer=EntryPage,
        ),
        Route(
            method="GET",
            path="/audit/logs/{log}/journal-keys",
            operation_id="list_journal_keys",
            summary="List the keys that endpoints sign their statements in a log with.",
            handler=list_journal_keys,
            roles=_AUDITORS,
            path_parameters={"log": LogId},
            body=Nothing,
            query=Nothing,
            answer=JournalKeyList,
        ),
    ]
