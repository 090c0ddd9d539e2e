"""How long to wait before the next attempt: full-jitter exponential backoff. Pure.

A random time between 0 and a ceiling that doubles spreads a fleet that lost its controller in the same second; a fixed
delay, or a fixed delay with a little jitter, does not.
"""

from collections.abc import Callable
from typing import Final

FIRST_CEILING: Final = 0.5
LAST_CEILING: Final = 20.0
"""Below the time after which a controller gives sessions up, so that one that comes back hears first what happened."""
STABLE_SECONDS: Final = 60.0
"""A connection that lasted as long as this was a good one: the next wait starts from the first ceiling again."""


class Backoff:
    """Counts attempts that failed.

    Args:
        random: returns a number from 0 (included) to 1 (excluded).
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._ceiling = FIRST_CEILING

    @property
    def ceiling(self) -> float:
        """The most that the next wait can last by itself, in seconds."""
        return self._ceiling

    def next_wait(self, *, lasted: float = 0.0, retry_after: float = 0.0, limit: float = LAST_CEILING) -> float:
        """Return how long to wait now, in seconds.

        Args:
            lasted: how long the connection that has just ended was good for; 0 if there was none.
            retry_after: the least time that the other side asked for. The random part comes on top of it.
            limit: a lower ceiling, for as long as somebody waits for the connection.
        """
        if lasted >= STABLE_SECONDS:
            self._ceiling = FIRST_CEILING
        wait = retry_after + self._random() * min(self._ceiling, limit)
        self._ceiling = min(self._ceiling * 2, LAST_CEILING)
        return wait
