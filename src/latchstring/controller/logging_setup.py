"""Logging of ``serve``: one line for each record, on stderr, in UTC. What a stranger sent cannot break a line."""

import logging
import sys
import time
from typing import Final

_FORMAT: Final = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"
_DATE_FORMAT: Final = "%Y-%m-%dT%H:%M:%S"


class OneLineFormatter(logging.Formatter):
    """Formats in UTC, and escapes control characters of the message. Tracebacks, which are ours alone, keep theirs."""

    @staticmethod
    def converter(seconds: float | None) -> time.struct_time:
        """Return the time in UTC."""
        return time.gmtime(seconds)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        """Return the line, printable throughout."""
        line = super().formatMessage(record)
        return "".join(character if character.isprintable() else repr(character)[1:-1] for character in line)


def configure_logging() -> None:
    """Log at INFO to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLineFormatter(_FORMAT, _DATE_FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)
