"""Reading logs for people: the newest events of all, or all events of one session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from latchstring.client.audit.download import PAGE_ENTRIES, EntrySource, read_entries
from latchstring.client.audit.faults import LogFaultError
from latchstring.client.errors import ClientError
from latchstring.protocol.api import LogView
from latchstring.protocol.entries import Entry, EntryError, decode_statement, parse_entry
from latchstring.protocol.statements import SignedStatement, Statement
from latchstring.protocol.times import parse_time

OPERATOR_NAME = "operator"
_SAME_TIME = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class ReadEntry:
    """An entry of a log as it was read: well formed, and no more than that. ``latch audit verify`` proves it."""

    log: LogView
    index: int
    entry: Entry

    @property
    def owner(self) -> str:
        """Whose log it stands in."""
        return self.log.customer or OPERATOR_NAME

    @property
    def session_id(self) -> str | None:
        """The session that it is about, if any."""
        return getattr(self.entry.event, "session_id", None)

    @property
    def endpoint_id(self) -> str | None:
        """The endpoint that signed it, None for an entry of the controller's own."""
        attestation = self.entry.attestation
        return None if attestation is None else attestation.endpoint_id

    @property
    def happened_at(self) -> str | None:
        """When the endpoint says that it happened, by its own clock, if that is another time than the log's."""
        attestation = self.entry.attestation
        reported = None if attestation is None else _reported(attestation.signed)
        if reported is None:
            return None
        apart = abs(parse_time(reported["time"]) - parse_time(self.entry.time))
        return str(reported["time"]) if apart >= _SAME_TIME else None

    def document(self) -> dict[str, Any]:
        """Return the entry for ``--json``."""
        attestation = self.entry.attestation
        return {
            "log": self.log.id,
            "customer": self.log.customer,
            "index": self.index,
            "time": self.entry.time,
            "type": self.entry.event.type,
            "event": self.entry.event.model_dump(mode="json"),
            "endpoint": None if attestation is None else _reported(attestation.signed),
        }


def newest_entries(source: EntrySource, logs: Sequence[LogView], *, limit: int) -> list[ReadEntry]:
    """Return the newest ``limit`` entries of all ``logs`` together, newest last.

    Raises:
        ClientError: an entry cannot be read.
    """
    found = [read for log in logs for read in _read(source, log, start=max(0, log.size - limit), end=log.size)]
    found.sort(key=lambda read: (read.entry.time, read.log.id, read.index))
    return found[-limit:]


def session_entries(source: EntrySource, logs: Sequence[LogView], session_id: str) -> list[ReadEntry]:
    """Return all entries about a session, oldest first. A log is searched from its end to the session's request.

    Raises:
        ClientError: an entry cannot be read.
    """
    for log in logs:
        found: list[ReadEntry] = []
        for start in range((max(log.size, 1) - 1) // PAGE_ENTRIES * PAGE_ENTRIES, -1, -PAGE_ENTRIES):
            page = _read(source, log, start=start, end=min(start + PAGE_ENTRIES, log.size))
            about = [read for read in page if read.session_id == session_id]
            found = about + found
            if any(read.entry.event.type == "session.requested" for read in about):
                return found
        if any(read.entry.event.type != "log.read" for read in found):
            return found
    return []


def _read(source: EntrySource, log: LogView, *, start: int, end: int) -> list[ReadEntry]:
    try:
        return [
            ReadEntry(log, index, parse_entry(body))
            for index, body in read_entries(source, log.id, start=start, end=end)
        ]
    except (LogFaultError, EntryError) as error:
        raise ClientError(f"the log of {log.customer or OPERATOR_NAME} cannot be read: {error}") from error


def _reported(signed: SignedStatement) -> dict[str, Any] | None:
    """Return who reported an event, in what place of its journal, and when by its own clock; unverified."""
    try:
        unverified = Statement.model_validate_json(decode_statement(signed))
    except ValueError:
        return None
    return {"id": unverified.endpoint_id, "sequence": unverified.sequence, "time": unverified.time}
