"""What a benchmark answers: rows of (measured, peer, ratio), printed as a table and written as JSON."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One row.

    Attributes:
        name: what was measured.
        unit: of ``measured`` and ``peer``.
        measured: our figure, a median.
        peer_name: what it is compared with, in the same run; None if it stands alone.
        peer: its figure.
        must: the bound that has to be kept, on the ratio if there is a peer, else on ``measured``.
        aim: the bound that is aimed at.
        at_most: whether the bounds are upper bounds, as for times, or lower ones.
    """

    name: str
    unit: str
    measured: float
    peer_name: str | None = None
    peer: float | None = None
    must: float | None = None
    aim: float | None = None
    at_most: bool = False

    @property
    def ratio(self) -> float | None:
        """Ours divided by the peer's."""
        return self.measured / self.peer if self.peer else None

    @property
    def kept(self) -> bool | None:
        """Whether the bound that has to be kept is kept; None if there is none."""
        return self._within(self.must)

    @property
    def verdict(self) -> str:
        """``aim`` reached, ``ok``, ``MISSED``, or nothing."""
        if self.kept is None:
            return ""
        if not self.kept:
            return "MISSED"
        return "aim" if self._within(self.aim) else "ok"

    def _within(self, bound: float | None) -> bool | None:
        if bound is None:
            return None
        value = self.measured if self.ratio is None else self.ratio
        return value <= bound if self.at_most else value >= bound


def format_table(results: Sequence[Result]) -> str:
    """Return the table for people."""
    header = ("what", "measured", "peer", "ratio", "must", "aim", "")
    rows = [header, *(_cells(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def write_json(results: Sequence[Result], path: Path) -> None:
    """Write the rows, and the machine that they were measured on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()},
        "results": [
            asdict(result) | {"ratio": result.ratio, "kept": result.kept, "verdict": result.verdict}
            for result in results
        ],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def _cells(result: Result) -> tuple[str, ...]:
    peer = "" if result.peer is None else f"{result.peer:.4g} {result.unit} ({result.peer_name})"
    ratio = "" if result.ratio is None else f"{result.ratio:.2f}x"
    sign, suffix = ("<=" if result.at_most else ">="), ("" if result.ratio is None else "x")
    bounds = ["" if bound is None else f"{sign} {bound:g}{suffix}" for bound in (result.must, result.aim)]
    return (result.name, f"{result.measured:.4g} {result.unit}", peer, ratio, *bounds, result.verdict)
