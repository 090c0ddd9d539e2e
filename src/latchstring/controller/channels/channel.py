"""One control channel after its hello: reports in order, requests within their rates, messages out of the outbox.

Three tasks: one reads frames, one makes reports durable in batches and acknowledges them, one sends. The channel ends
when any of them does. Reports wait in a bounded queue; when it is full nothing more is read, so that an endpoint with
much to tell is slowed down by TCP and not by the controller's memory.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Final

from aiohttp import WSMessage, WSMsgType, web

from latchstring.certs.errors import CertificateError
from latchstring.controller.channels.outbox import Outbox
from latchstring.controller.channels.ports import Renewals, Reports
from latchstring.controller.errors import HelloRefusedError, ReportError, StoreUnavailableError
from latchstring.controller.keyed_rates import KeyedRates
from latchstring.protocol.messages import (
    Acknowledged,
    CertificateRenewed,
    DialFailed,
    FromEndpoint,
    Goodbye,
    GoodbyeCode,
    Hello,
    MessageError,
    RenewCertificate,
    Report,
    decode_from_endpoint,
)
from latchstring.protocol.statements import SignedStatement
from latchstring.protocol.token_bucket import TokenBucket

MAX_BATCH: Final = 64
MALFORMED_RETRY_SECONDS: Final = 60
BUSY_RETRY_SECONDS: Final = 10
_MAX_WAITING_REPORTS: Final = 256
_REQUESTS_PER_SECOND: Final = 2.0
_REQUESTS_BURST: Final = 32.0
_FIRST_RETRY_SECONDS: Final = 0.25
_LAST_RETRY_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class ChannelEndedError(Exception):
    """The channel is to end; ``goodbye`` is what to say, None where nobody listens any more."""

    def __init__(self, goodbye: Goodbye | None) -> None:
        super().__init__("the channel ended")
        self.goodbye = goodbye


def malformed() -> ChannelEndedError:
    """Return the end of a channel whose endpoint does not speak the protocol."""
    return ChannelEndedError(Goodbye(code=GoodbyeCode.MALFORMED, retry_after_seconds=MALFORMED_RETRY_SECONDS))


def decode_frame(frame: WSMessage) -> FromEndpoint:
    """Return the message in a frame.

    Raises:
        ChannelEndedError: it holds none; or it is the connection's end.
    """
    if frame.type is WSMsgType.TEXT:
        try:
            return decode_from_endpoint(frame.data)
        except MessageError as error:
            raise malformed() from error
    if frame.type is WSMsgType.BINARY:
        raise malformed()
    raise ChannelEndedError(None)


class Channel:
    """The conversation with one endpoint that was welcomed."""

    def __init__(
        self,
        endpoint_id: str,
        socket: web.WebSocketResponse,
        *,
        reports: Reports,
        renewals: Renewals,
        report_rates: KeyedRates,
        counters: Counter[str],
        monotonic: Callable[[], float],
    ) -> None:
        self.outbox = Outbox(socket)
        self._endpoint_id = endpoint_id
        self._socket = socket
        self._reports = reports
        self._renewals = renewals
        self._report_rates = report_rates
        self._counters = counters
        self._monotonic = monotonic
        self._waiting: asyncio.Queue[SignedStatement] = asyncio.Queue(_MAX_WAITING_REPORTS)
        self._request_rate = TokenBucket(rate=_REQUESTS_PER_SECOND, burst=_REQUESTS_BURST, now=monotonic())

    async def run(self) -> None:
        """Talk until the channel ends. Nothing that the endpoint does raises."""
        tasks = [
            asyncio.create_task(work, name=f"{name} of {self._endpoint_id}")
            for name, work in (("reader", self._read()), ("reports", self._take_reports()), ("sender", self._send()))
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                self._ended(task.exception())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.outbox.flush()

    def _ended(self, error: BaseException | None) -> None:
        if isinstance(error, ChannelEndedError):
            if error.goodbye is not None:
                self._counters[f"goodbye_{error.goodbye.code}"] += 1
                _log.warning("closing the channel of %s: %s", self._endpoint_id, error.goodbye.code)
                self.outbox.finish(error.goodbye)
        elif error is not None:
            _log.error("the channel of %s failed", self._endpoint_id, exc_info=error)
            self.outbox.finish(Goodbye(code=GoodbyeCode.BUSY, retry_after_seconds=BUSY_RETRY_SECONDS))

    async def _send(self) -> None:
        await self.outbox.run()
        raise ChannelEndedError(None)

    async def _read(self) -> None:
        while True:
            message = decode_frame(await self._socket.receive())
            match message:
                case Report():
                    await asyncio.sleep(self._report_rates.borrow(self._endpoint_id, self._monotonic()))
                    await self._waiting.put(message.signed)
                case RenewCertificate():
                    self._count_request()
                    await self._renew(message)
                case DialFailed():
                    self._count_request()
                    self._counters["dial_failed"] += 1
                    _log.info("%s did not come to dial %s: %s", self._endpoint_id, message.dial_id, message.failure)
                case Hello():
                    raise malformed()

    def _count_request(self) -> None:
        if not self._request_rate.take(self._monotonic()):
            raise ChannelEndedError(Goodbye(code=GoodbyeCode.BUSY, retry_after_seconds=BUSY_RETRY_SECONDS))

    async def _renew(self, message: RenewCertificate) -> None:
        try:
            certificate = await self._renewals.renew(self._endpoint_id, message.signing_request)
        except CertificateError as error:
            raise malformed() from error
        except HelloRefusedError as error:
            raise ChannelEndedError(error.goodbye) from error
        except StoreUnavailableError:
            # Renewal is due long before the certificate's end: the endpoint asks again.
            self._counters["renewal_postponed"] += 1
            return
        self.outbox.put(CertificateRenewed(certificate=certificate))

    async def _take_reports(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < MAX_BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            self.outbox.put(Acknowledged(next_sequence=await self._accept(batch)))

    async def _accept(self, batch: list[SignedStatement]) -> int:
        """Make ``batch`` durable, however long the log cannot be written; nothing is acknowledged until then."""
        pause = _FIRST_RETRY_SECONDS
        while True:
            try:
                return await self._reports.accept(self._endpoint_id, batch)
            except ReportError as error:
                raise malformed() from error
            except StoreUnavailableError:
                self._counters["reports_postponed"] += 1
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LAST_RETRY_SECONDS)
