"""What every command is given: the home, and the time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from latchstring.client.home import Home, find_home


@dataclass(frozen=True, slots=True)
class CommandContext:
    """The world around a command. ``now`` returns an aware time; ``sleep`` takes seconds."""

    home: Home
    now: Callable[[], datetime]
    sleep: Callable[[float], None]


def system_context() -> CommandContext:
    """Return the context of a real command."""
    return CommandContext(home=find_home(), now=lambda: datetime.now(UTC), sleep=time.sleep)
