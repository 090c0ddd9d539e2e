"""One readable line for each audit event. What a log holds are ids; names are put in where they are known."""

from collections.abc import Mapping
from typing import Any, Final

from latchstring.client.errors import one_line
from latchstring.protocol.durations import format_duration
from latchstring.protocol.endings import EXPLANATIONS
from latchstring.protocol.events import AuditEvent

_LABELS: Final = {
    "account_id": "account",
    "bytes_from_endpoint": "bytes from endpoint",
    "bytes_from_engineer": "bytes from engineer",
    "bytes_in": "bytes in",
    "bytes_out": "bytes out",
    "clock_skew_seconds": "clock off by",
    "connections": "connections",
    "customer_id": "customer",
    "decided_by": "decided by",
    "detail_commitment": "commitment",
    "duration_seconds": "for",
    "endpoint_id": "on",
    "engineer_key": "key",
    "exit_status": "exit status",
    "grant_digest": "grant",
    "kill_milliseconds": "killed in ms",
    "processes_left": "processes left",
    "source": "from",
}
"""What people read before a value, where the field's own name would not do."""

_UNLABELLED: Final = frozenset({"session_id", "purpose", "state", "mode"})
_SHORTENED: Final = frozenset({"detail_commitment", "grant_digest"})
_SHORT: Final = 12


def describe(event: AuditEvent, names: Mapping[str, str], *, within_session: bool = False) -> str:
    """Return an event as one line: its name, and what it says.

    Args:
        event: the event.
        names: id to name, of endpoints and accounts.
        within_session: leave the session's id out, where all that is shown is about one session.
    """
    hidden = {"type", "session_id"} if within_session else {"type"}
    fields = event.model_dump(mode="json", exclude=hidden, exclude_none=True)
    words = [_phrase(key, value, names) for key, value in fields.items()]
    return " · ".join([event.type, *words])


def _phrase(key: str, value: Any, names: Mapping[str, str]) -> str:
    text = _value(key, value, names)
    return text if key in _UNLABELLED else f"{_LABELS.get(key, key.replace('_', ' '))} {text}"


def _value(key: str, value: Any, names: Mapping[str, str]) -> str:
    if key == "duration_seconds":
        return format_duration(value)
    if key == "clock_skew_seconds":
        return f"{value:+d} s"
    if key == "reason" and value in EXPLANATIONS:
        return EXPLANATIONS[value]
    if key in _SHORTENED:
        return f"{value[:_SHORT]}…"
    if isinstance(value, list):
        return ",".join(value)
    return one_line(names.get(str(value), str(value)))
