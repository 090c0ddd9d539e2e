"""The relay's stream through a WebSocket, for those whose raw TCP does not get out (``protocol/relay_websocket.py``).

Each such connection ends here, in user space, and goes on to the relay through a socket pair. It costs more than one
that the relay's own port accepts, so there are fewer of them; within the relay the same limits hold for both.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from aiohttp import web

from latchstring.controller.https.admission import Admission, AdmissionLimits, source_of
from latchstring.controller.relay_websocket_stream import AIOHTTP_LIMIT, AiohttpStream
from latchstring.protocol.problems import ProblemCode, ProblemError
from latchstring.streams.carried_socket import CarriedSocket
from latchstring.streams.websocket_carrier import WebSocketCarrier

LIMITS: Final = AdmissionLimits(total=1_000, per_source=128)
_CLOSE_SECONDS: Final = 2.0
_WRITER_LIMIT: Final = 64 * 1024


class RelayEntrance(Protocol):
    """Where streams go on to."""

    def admit(self, connection: CarriedSocket, address: str, /) -> None:
        """Take a connection from the IP address ``address``."""


class RelayWebSockets:
    """The WebSockets that carry streams of the relay.

    Attributes:
        counters: ``accepted`` and ``refused``, since the start.
    """

    def __init__(
        self, relay: RelayEntrance, *, monotonic: Callable[[], float], limits: AdmissionLimits = LIMITS
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._relay = relay
        self._monotonic = monotonic
        self._admission = Admission(limits)
        self._transports: set[asyncio.Transport] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one WebSocket until its stream has ended.

        Raises:
            ProblemError: it is none, or there are too many.
        """
        transport = request.transport
        socket = web.WebSocketResponse(
            timeout=_CLOSE_SECONDS,
            autoping=False,
            max_msg_size=AIOHTTP_LIMIT,
            compress=False,
            writer_limit=_WRITER_LIMIT,
        )
        if transport is None or not socket.can_prepare(request).ok:
            raise ProblemError(ProblemCode.BAD_REQUEST, "this takes WebSockets of the relay's clients only")
        source = source_of(transport.get_extra_info("peername"))
        if not self._admission.enter(source):
            self.counters["refused"] += 1
            raise ProblemError(ProblemCode.BUSY, "too many connections to the relay come this way; try again later")
        self._transports.add(transport)
        try:
            await socket.prepare(request)
            self.counters["accepted"] += 1
            # The relay closes for good only when there is nobody left on the other side.
            carrier = WebSocketCarrier(
                AiohttpStream(socket), abort=transport.abort, monotonic=self._monotonic, leave_seconds=0.0
            )
            self._relay.admit(carrier.held, source)
            await carrier.run()
        finally:
            self._transports.discard(transport)
            self._admission.leave(source)
        return socket

    async def close(self) -> None:
        """End them all."""
        for transport in tuple(self._transports):
            transport.abort()
        await asyncio.sleep(0)  # an abort takes effect in the loop's next turn
