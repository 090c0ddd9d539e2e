"""What verification finds, and where: faults of a log's integrity, and discrepancies of the story that it tells.

A fault means that the log is not what was signed or seen, so nothing after it can be relied on. A discrepancy is an
authentic entry that does not fit: one endpoint can cause it by itself, so it must not hide what else is found.
"""

from dataclasses import dataclass, field
from typing import Final

MAX_LISTED: Final = 20
"""How many discrepancies of a log are kept; all are counted."""


class LogFaultError(Exception):
    """A log does not hold what it promises. ``index`` is the first entry at fault, or None if no one entry is."""

    def __init__(self, message: str, *, index: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.index = index

    def __str__(self) -> str:
        return self.message if self.index is None else f"entry {self.index}: {self.message}"


class DiscrepancyError(Exception):
    """An authentic entry does not fit those before it."""


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """An entry that does not fit. ``endpoint_id`` is who signed it; None for an entry of the controller's own."""

    index: int
    endpoint_id: str | None
    message: str

    def __str__(self) -> str:
        return f"entry {self.index}, by {self.endpoint_id or 'the controller'}: {self.message}"


@dataclass(slots=True)
class Discrepancies:
    """The discrepancies of one log: the first :data:`MAX_LISTED`, and the count of all."""

    listed: list[Discrepancy] = field(default_factory=list)
    count: int = 0

    def add(self, discrepancy: Discrepancy) -> None:
        """Count one, and keep it if it is among the first."""
        self.count += 1
        if len(self.listed) < MAX_LISTED:
            self.listed.append(discrepancy)
