"""What is said about a log after its verification."""

from dataclasses import dataclass
from typing import Any

from latchstring.client.audit.faults import LogFaultError
from latchstring.client.audit.verification import VerifiedLog
from latchstring.client.errors import one_line
from latchstring.protocol.api import LogView
from latchstring.protocol.c2sp_text import encode_base64


@dataclass(frozen=True, slots=True)
class LogReport:
    """One log, and either what was verified of it or what is wrong with it."""

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

    def line(self) -> str:
        """Return the report for people."""
        if isinstance(self.outcome, LogFaultError):
            return f"{self.owner}: FAILED, {self.outcome}"
        since = self.outcome.previous_size
        continued = "seen for the first time" if since is None else f"continues the {since} that were seen before"
        checkpoint = self.outcome.checkpoint
        return f"{self.owner}: verified, {checkpoint.size} entries, root {encode_base64(checkpoint.root)}, {continued}"

    def document(self) -> dict[str, Any]:
        """Return the report for ``--json``."""
        verified = None if isinstance(self.outcome, LogFaultError) else self.outcome
        return {
            "id": self.log_id,
            "customer": self.customer,
            "verified": verified is not None,
            "size": None if verified is None else verified.checkpoint.size,
            "root": None if verified is None else encode_base64(verified.checkpoint.root),
            "verifier_key": None if verified is None else verified.verifier_key,
            "previous_size": None if verified is None else verified.previous_size,
            "fault": None if self.fault is None else {"index": self.fault.index, "message": self.fault.message},
        }


def missing_log(log_id: str) -> LogReport:
    """Return the report on a log that was verified here before and that the controller no longer shows."""
    return LogReport(
        log_id, None, LogFaultError("the controller no longer shows this log, which was verified here before")
    )


def owner_of(log: LogView) -> str:
    """Return whose log it is, for people."""
    return one_line(log.customer or log.id)
