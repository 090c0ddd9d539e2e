"""Which endpoints are connected, and since when the others are gone. In memory: a restart counts everybody as gone."""

from latchstring.controller.ports import Clock


class Presence:
    """Follows the endpoints' connections by the monotonic clock.

    An endpoint's connections are numbered, so that the end of one that was replaced is not taken for the endpoint's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start = clock.monotonic()
        self._last_number = 0
        self._connected: dict[str, int] = {}
        self._gone_since: dict[str, float] = {}

    def connected(self, endpoint_id: str) -> int:
        """Note a connection and return its number."""
        self._last_number += 1
        self._connected[endpoint_id] = self._last_number
        return self._last_number

    def disconnected(self, endpoint_id: str, connection: int) -> bool:
        """Note the end of a connection; False if the endpoint has another one by now."""
        if self._connected.get(endpoint_id) != connection:
            return False
        del self._connected[endpoint_id]
        self._gone_since[endpoint_id] = self._clock.monotonic()
        return True

    def absent_seconds(self, endpoint_id: str) -> float:
        """Return for how long the endpoint has been gone: 0 while it is connected."""
        if endpoint_id in self._connected:
            return 0.0
        return self._clock.monotonic() - self._gone_since.get(endpoint_id, self._start)
