"""The endpoints as engineers and administrators see them."""

from latchstring.controller.ports import EndpointChannels
from latchstring.controller.store.records import Endpoint
from latchstring.controller.store.store import Store
from latchstring.protocol.api import EndpointList, EndpointView
from latchstring.protocol.times import format_time


class EndpointDirectory:
    """Lists endpoints. Without channels (in another process than the serving one) all count as offline."""

    def __init__(self, store: Store, channels: EndpointChannels | None) -> None:
        self._store = store
        self._channels = channels

    async def list(self) -> EndpointList:
        """Return the endpoints that are invited or enrolled, by name.

        Raises:
            StoreUnavailableError: the database cannot be read now.
        """
        async with self._store.read() as tx:
            endpoints = await tx.endpoints.all()
            live = await tx.sessions.count_live()
        return EndpointList(endpoints=tuple(self._view(endpoint, live.get(endpoint.id, 0)) for endpoint in endpoints))

    def _view(self, endpoint: Endpoint, live_sessions: int) -> EndpointView:
        return EndpointView(
            id=endpoint.id,
            name=endpoint.name,
            customer=endpoint.customer_name,
            customer_id=endpoint.customer_id,
            online=self._channels is not None and self._channels.is_connected(endpoint.id),
            access=endpoint.access,
            agent_version=endpoint.agent_version,
            last_seen_at=None if endpoint.last_seen_at is None else format_time(endpoint.last_seen_at),
            clock_skew_seconds=endpoint.clock_skew_seconds,
            live_sessions=live_sessions,
        )
