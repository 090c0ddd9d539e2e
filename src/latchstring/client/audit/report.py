"""What is said about a log after its verification."""

from dataclasses import dataclass
from typing import Any

from latchstring.client.audit.faults import Discrepancies, LogFaultError
from latchstring.client.audit.verification import VerifiedLog
from latchstring.client.errors import one_line
from latchstring.protocol.api import LogView
from latchstring.protocol.c2sp_text import encode_base64


@dataclass(frozen=True, slots=True)
class LogReport:
    """One log, and either what was found in it or why it cannot be relied on."""

    log_id: str
    customer: str | None
    outcome: VerifiedLog | LogFaultError

    @property
    def fault(self) -> LogFaultError | None:
        """What is wrong, if anything."""
        return self.outcome if isinstance(self.outcome, LogFaultError) else None

    @property
    def owner(self) -> str:
        """Whose log it is."""
        return one_line(self.customer or self.log_id)

    @property
    def discrepancies(self) -> Discrepancies:
        """What does not fit, in a log whose integrity holds."""
        return Discrepancies() if isinstance(self.outcome, LogFaultError) else self.outcome.discrepancies

    @property
    def failure(self) -> str | None:
        """The first thing that is wrong, in words; None for a log that is verified."""
        if self.fault is not None:
            return str(self.fault)
        return str(self.discrepancies.listed[0]) if self.discrepancies.count else None

    def lines(self) -> list[str]:
        """Return the report for people."""
        if isinstance(self.outcome, LogFaultError):
            return [f"{self.owner}: FAILED, {self.outcome}"]
        since = self.outcome.previous_size
        continued = "seen for the first time" if since is None else f"continues the {since} that were seen before"
        checkpoint = self.outcome.checkpoint
        found = self.discrepancies
        verdict = "verified" if not found.count else f"FAILED, {_counted(found.count)}"
        unlisted = found.count - len(found.listed)
        return [
            f"{self.owner}: {verdict}, {checkpoint.size} entries, root {encode_base64(checkpoint.root)}, {continued}",
            *(f"  {discrepancy}" for discrepancy in found.listed),
            *([f"  and {unlisted} more"] if unlisted else []),
        ]

    def document(self) -> dict[str, Any]:
        """Return the report for ``--json``."""
        intact = None if isinstance(self.outcome, LogFaultError) else self.outcome
        found = self.discrepancies
        return {
            "id": self.log_id,
            "customer": self.customer,
            "verified": self.failure is None,
            "size": None if intact is None else intact.checkpoint.size,
            "root": None if intact is None else encode_base64(intact.checkpoint.root),
            "verifier_key": None if intact is None else intact.verifier_key,
            "previous_size": None if intact is None else intact.previous_size,
            "fault": None if self.fault is None else {"index": self.fault.index, "message": self.fault.message},
            "discrepancies": [
                {"index": discrepancy.index, "endpoint": discrepancy.endpoint_id, "message": discrepancy.message}
                for discrepancy in found.listed
            ],
            "discrepancy_count": found.count,
        }


def _counted(count: int) -> str:
    return "1 discrepancy" if count == 1 else f"{count} discrepancies"


def missing_log(log_id: str) -> LogReport:
    """Return the report on a log that was verified here before and that the controller no longer shows."""
    return LogReport(
        log_id, None, LogFaultError("the controller no longer shows this log, which was verified here before")
    )


def owner_of(log: LogView) -> str:
    """Return whose log it is, for people."""
    return one_line(log.customer or log.id)
