"""Records a session's channels in the journal. Satisfies ``ChannelRecorder`` of ``endpoint.ssh.ports``."""

import itertools

from latchstring.endpoint.journal.journal import Journal
from latchstring.endpoint.ssh.ports import ChannelEnd, ChannelRefusal
from latchstring.protocol.endpoint_events import ChannelClosed, ChannelOpened, ChannelRefused
from latchstring.protocol.event_fields import ChannelKind


class JournalChannelRecorder:
    """The channels of one session, numbered from 1."""

    def __init__(self, session_id: str, journal: Journal) -> None:
        self._session_id = session_id
        self._journal = journal
        self._numbers = itertools.count(1)

    async def opened(self, *, kind: ChannelKind, capability: str, detail: str | None) -> int:
        """Record that a channel opens, durably, and return its number.

        Raises:
            JournalUnavailableError: it cannot be written, so the channel must not open.
        """
        channel = next(self._numbers)
        event = ChannelOpened(session_id=self._session_id, channel=channel, kind=kind, capability=capability)
        await self._journal.append(event, detail=detail)
        return channel

    async def closed(self, channel: int, end: ChannelEnd) -> None:
        """Record that a channel has ended, as soon as it can be written."""
        self._journal.record(
            ChannelClosed(
                session_id=self._session_id,
                channel=channel,
                outcome=end.outcome,
                exit_status=end.exit_status,
                bytes_in=end.bytes_in,
                bytes_out=end.bytes_out,
            )
        )

    async def refused(self, *, kind: ChannelKind, reason: ChannelRefusal, detail: str | None) -> None:
        """Record that a channel was refused, as soon as it can be written."""
        self._journal.record(ChannelRefused(session_id=self._session_id, kind=kind, reason=reason), detail=detail)
