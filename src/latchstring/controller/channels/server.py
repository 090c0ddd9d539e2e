"""The tunnel's application: lets endpoints in by their client certificates, and runs their channels.

An endpoint is who its certificate says, which TLS has verified against our root. Whether it is still welcome is the
services' answer to its hello. An endpoint has one channel: a newer one replaces the older.
"""

import asyncio
import logging
import random
import ssl
from collections import Counter
from typing import Final
from weakref import WeakValueDictionary

from aiohttp import web
from aiohttp.typedefs import Handler

from latchstring.certs.errors import CertificateError
from latchstring.certs.x509_verify import endpoint_id_of
from latchstring.controller.api.application import set_headers
from latchstring.controller.api.problems import answer_problems
from latchstring.controller.channels.channel import (
    BUSY_RETRY_SECONDS,
    Channel,
    ChannelEndedError,
    decode_frame,
    malformed,
)
from latchstring.controller.channels.hub import ChannelHub
from latchstring.controller.channels.ports import HelloAnswer, Renewals, Reports
from latchstring.controller.errors import HelloRefusedError, StoreUnavailableError
from latchstring.controller.https.admission import source_of
from latchstring.controller.keyed_rates import KeyedRates
from latchstring.controller.ports import Clock
from latchstring.protocol.messages import (
    CONTROL_PATH,
    HEARTBEAT_SECONDS,
    MAX_MESSAGE_BYTES,
    Goodbye,
    GoodbyeCode,
    Hello,
    encode_message,
)
from latchstring.protocol.problems import ProblemCode, ProblemError
from latchstring.protocol.relay_websocket import RELAY_PATH
from latchstring.protocol.token_bucket import TokenBucket

HELLO_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 2.0
_HELLOS_PER_SECOND: Final = 200.0
_HELLO_BURST: Final = 400.0
# What one endpoint may add to the database that all share. A journal of some length arrives at once; after that there
# is room for what people do.
_ENDPOINT_REPORTS_PER_SECOND: Final = 5.0
_ENDPOINT_REPORT_BURST: Final = 5000.0
_ENDPOINT_HELLOS_PER_SECOND: Final = 0.2
_ENDPOINT_HELLO_BURST: Final = 10.0
_BUSY_SPREAD_SECONDS: Final = 20
_RESTART_RETRY_SECONDS: Final = 1

_log = logging.getLogger(__name__)


class ChannelServer:
    """Runs the endpoints' channels.

    Attributes:
        counters: ``welcomed``, ``silent``, ``goodbye_<code>`` and others, since the start.
    """

    def __init__(self, hub: ChannelHub, *, reports: Reports, renewals: Renewals, clock: Clock) -> None:
        self.counters: Counter[str] = Counter()
        self._hub = hub
        self._reports = reports
        self._renewals = renewals
        self._clock = clock
        self._hellos = TokenBucket(rate=_HELLOS_PER_SECOND, burst=_HELLO_BURST, now=clock.monotonic())
        self._endpoint_hellos = KeyedRates(rate=_ENDPOINT_HELLOS_PER_SECOND, burst=_ENDPOINT_HELLO_BURST)
        self._report_rates = KeyedRates(rate=_ENDPOINT_REPORTS_PER_SECOND, burst=_ENDPOINT_REPORT_BURST)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False

    def application(self, relay_websocket: Handler) -> web.Application:
        """Return the application that the tunnel's listener serves.

        Args:
            relay_websocket: serves the relay's stream, for endpoints only.
        """

        async def relay(request: web.Request) -> web.StreamResponse:
            _endpoint_of(request)
            return await relay_websocket(request)

        application = web.Application(middlewares=[answer_problems])
        application.on_response_prepare.append(set_headers)
        application.router.add_route("GET", CONTROL_PATH, self._handle)
        application.router.add_route("GET", RELAY_PATH, relay)
        return application

    async def close(self) -> None:
        """Say goodbye to every endpoint, and wait a little for it to be sent."""
        self._stopping = True
        for endpoint_id in self._hub:
            self._hub.close(
                endpoint_id, Goodbye(code=GoodbyeCode.RESTARTING, retry_after_seconds=_RESTART_RETRY_SECONDS)
            )
        running = tuple(self._running)
        if running:
            _, slow = await asyncio.wait(running, timeout=2 * _CLOSE_SECONDS)
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        endpoint_id = _endpoint_of(request)
        source = source_of(request.transport.get_extra_info("peername") if request.transport is not None else None)
        socket = web.WebSocketResponse(
            timeout=_CLOSE_SECONDS, heartbeat=HEARTBEAT_SECONDS, max_msg_size=MAX_MESSAGE_BYTES, compress=False
        )
        if not socket.can_prepare(request).ok:
            raise ProblemError(ProblemCode.BAD_REQUEST, "this listener takes WebSockets of endpoints only")
        await socket.prepare(request)
        talk = asyncio.create_task(self._talk(endpoint_id, source, socket), name=f"channel of {endpoint_id}")
        self._running.add(talk)
        talk.add_done_callback(self._running.discard)
        try:
            await asyncio.shield(talk)
        finally:
            talk.cancel()
        return socket

    async def _talk(self, endpoint_id: str, source: str, socket: web.WebSocketResponse) -> None:
        try:
            hello = await self._receive_hello(endpoint_id, socket)
            await self._serve(endpoint_id, source, socket, hello)
        except ChannelEndedError as end:
            if end.goodbye is not None:
                self.counters[f"goodbye_{end.goodbye.code}"] += 1
                _log.warning("turned %s away: %s", endpoint_id, end.goodbye.code)
                await _say(socket, end.goodbye)
        finally:
            await socket.close()

    async def _receive_hello(self, endpoint_id: str, socket: web.WebSocketResponse) -> Hello:
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                message = decode_frame(await socket.receive())
        except TimeoutError as error:
            self.counters["silent"] += 1
            raise malformed() from error
        if not isinstance(message, Hello):
            raise malformed()
        if self._stopping or not self._may_say_hello(endpoint_id):
            raise _busy()
        return message

    def _may_say_hello(self, endpoint_id: str) -> bool:
        # The endpoint's own share first, so that one that exceeds it takes nothing from the others.
        now = self._clock.monotonic()
        return self._endpoint_hellos.take(endpoint_id, now) and self._hellos.take(now)

    async def _serve(self, endpoint_id: str, source: str, socket: web.WebSocketResponse, hello: Hello) -> None:
        channel = Channel(
            endpoint_id,
            socket,
            reports=self._reports,
            renewals=self._renewals,
            report_rates=self._report_rates,
            counters=self.counters,
            monotonic=self._clock.monotonic,
        )
        turn = self._turns.setdefault(endpoint_id, asyncio.Lock())
        async with turn:
            answer = await self._answer_hello(endpoint_id, source, hello)
            self._enter(endpoint_id, channel, answer)
        try:
            await channel.run()
        finally:
            async with turn:
                await self._leave(endpoint_id, channel, answer.connection)

    async def _answer_hello(self, endpoint_id: str, source: str, hello: Hello) -> HelloAnswer:
        try:
            return await self._reports.hello(endpoint_id, hello, source)
        except HelloRefusedError as error:
            raise ChannelEndedError(error.goodbye) from error
        except StoreUnavailableError as error:
            raise _busy() from error

    def _enter(self, endpoint_id: str, channel: Channel, answer: HelloAnswer) -> None:
        # In one step without a wait, so that nothing that a service sends can come before the welcome.
        channel.outbox.put(answer.welcome)
        older = self._hub.enter(endpoint_id, channel.outbox)
        if older is not None:
            older.finish(Goodbye(code=GoodbyeCode.REPLACED, retry_after_seconds=BUSY_RETRY_SECONDS))
        for message in answer.messages:
            channel.outbox.put(message)
        self.counters["welcomed"] += 1
        _log.info("endpoint %s connected", endpoint_id)

    async def _leave(self, endpoint_id: str, channel: Channel, connection: int) -> None:
        if self._hub.leave(endpoint_id, channel.outbox):
            _log.info("endpoint %s disconnected", endpoint_id)
        await self._reports.disconnected(endpoint_id, connection)


def _endpoint_of(request: web.Request) -> str:
    tls = request.transport.get_extra_info("ssl_object") if request.transport is not None else None
    certificate = tls.getpeercert(binary_form=True) if isinstance(tls, ssl.SSLObject | ssl.SSLSocket) else None
    if certificate is None:
        raise ProblemError(ProblemCode.NOT_AUTHENTICATED, "this listener needs a client certificate")
    try:
        return endpoint_id_of(certificate)
    except CertificateError as error:
        raise ProblemError(ProblemCode.NOT_AUTHENTICATED, "the client certificate is no endpoint's") from error


def _busy() -> ChannelEndedError:
    # Spread out, so that all who were sent away do not come back at once.
    seconds = BUSY_RETRY_SECONDS + random.randrange(_BUSY_SPREAD_SECONDS)  # noqa: S311 - not a secret
    return ChannelEndedError(Goodbye(code=GoodbyeCode.BUSY, retry_after_seconds=seconds))


async def _say(socket: web.WebSocketResponse, goodbye: Goodbye) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await socket.send_str(encode_message(goodbye))
    except (TimeoutError, ConnectionError):
        return
