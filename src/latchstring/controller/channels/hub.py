"""Which endpoint has which channel: the one place through which services reach endpoints."""

from collections.abc import Iterator
from typing import Protocol

from latchstring.protocol.messages import FromController, Goodbye


class OutgoingMessages(Protocol):
    """The outgoing side of a channel, as :class:`~latchstring.controller.channels.outbox.Outbox` has it."""

    @property
    def is_open(self) -> bool:
        """Whether messages are still taken."""

    def put(self, message: FromController) -> bool:
        """Queue a message; False if it is not taken."""

    def finish(self, goodbye: Goodbye) -> None:
        """Queue a goodbye and the end."""


class ChannelHub:
    """Keeps the :class:`~latchstring.controller.ports.EndpointChannels` promise for the channels of this process."""

    def __init__(self) -> None:
        self._channels: dict[str, OutgoingMessages] = {}

    def __len__(self) -> int:
        return len(self._channels)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._channels))

    def is_connected(self, endpoint_id: str) -> bool:
        """Return whether the endpoint has a channel that takes messages."""
        channel = self._channels.get(endpoint_id)
        return channel is not None and channel.is_open

    def send(self, endpoint_id: str, message: FromController) -> bool:
        """Queue ``message`` for an endpoint; False if it has no channel that takes it."""
        channel = self._channels.get(endpoint_id)
        return channel is not None and channel.put(message)

    def close(self, endpoint_id: str, goodbye: Goodbye) -> None:
        """Say goodbye to an endpoint, if it is there."""
        channel = self._channels.get(endpoint_id)
        if channel is not None:
            channel.finish(goodbye)

    def enter(self, endpoint_id: str, channel: OutgoingMessages) -> OutgoingMessages | None:
        """Make ``channel`` the endpoint's, and return the one that it replaces."""
        older = self._channels.get(endpoint_id)
        self._channels[endpoint_id] = channel
        return older

    def leave(self, endpoint_id: str, channel: OutgoingMessages) -> bool:
        """Take ``channel`` out; False if it had been replaced already, so that the endpoint is still connected."""
        if self._channels.get(endpoint_id) is not channel:
            return False
        del self._channels[endpoint_id]
        return True
