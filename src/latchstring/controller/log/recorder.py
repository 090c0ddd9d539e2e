"""Logs what changes nothing else, in a transaction of its own."""

from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.controller.log.writer import LogWriter
from latchstring.controller.store.store import Store
from latchstring.protocol.events import ControllerEvent


class LogRecorder:
    """Appends events that stand alone."""

    def __init__(self, store: Store, writer: LogWriter) -> None:
        self._store = store
        self._writer = writer

    async def open_operator_log(self) -> None:
        """Create the vendor's own log if it is not there.

        Raises:
            StoreUnavailableError: it cannot be written now.
        """
        async with self._store.write() as tx:
            if await tx.logs.head(OPERATOR_LOG) is None:
                await self._writer.open(tx, OPERATOR_LOG)

    async def record(self, log_id: str, *events: ControllerEvent) -> None:
        """Append events; they are durable on return.

        Raises:
            StoreUnavailableError: the log cannot be written now; none of them was appended.
        """
        async with self._store.write() as tx:
            await self._writer.record(tx, log_id, *events)
