"""The standing connection to the controller: one WebSocket over mutually authenticated TLS 1.3, dialled from here.

It is kept up for as long as the agent runs, with waits of full jitter between attempts. What the controller says is
handed to the agent in order; what the agent has to say is the journal (``report_sender``), so a connection may die
anywhere.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import Final, Protocol

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from latchstring.certs.keyfiles import KeyFileError
from latchstring.endpoint.backoff import LAST_CEILING, Backoff
from latchstring.endpoint.clock import Clock
from latchstring.endpoint.controller_websocket import NoWayError, connect_websocket
from latchstring.endpoint.errors import EnrolmentError, JournalError, one_line
from latchstring.endpoint.identity import Identity
from latchstring.endpoint.journal.journal import Journal
from latchstring.endpoint.proxies import Proxy
from latchstring.endpoint.renewal import CHECK_SECONDS, Renewal
from latchstring.endpoint.report_sender import ReportSender
from latchstring.protocol.messages import (
    CONTROL_PATH,
    HEARTBEAT_SECONDS,
    MAX_MESSAGE_BYTES,
    PROTOCOL_VERSIONS,
    Acknowledged,
    CertificateRenewed,
    DialRelay,
    EndSession,
    FromController,
    FromEndpoint,
    Goodbye,
    GoodbyeCode,
    Hello,
    MessageError,
    Offer,
    Welcome,
    Withdraw,
    decode_from_controller,
    encode_message,
)
from latchstring.protocol.times import parse_time
from latchstring.protocol.token_bucket import TokenBucket

CONNECT_SECONDS: Final = 20.0
WELCOME_SECONDS: Final = 15.0
_CLOSE_SECONDS: Final = 0.5
_LIVE_LIMIT_SECONDS: Final = 2.0
"""The longest wait between attempts while sessions are live: somebody is working."""
_MESSAGES_PER_SECOND: Final = 20.0
_MESSAGES_BURST: Final = 400.0

_log = logging.getLogger(__name__)


class ChannelFailedError(Exception):
    """The connection could not be made, or has ended. One line says why."""

    def __init__(self, reason: str, *, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class ChannelUser(Protocol):
    """What the connection is for. Nothing here may wait."""

    def hello(self) -> Hello:
        """Return how the endpoint introduces itself now."""

    def has_live_sessions(self) -> bool:
        """Return whether somebody is working here."""

    def welcomed(self) -> None:
        """The connection is up."""

    def lost(self) -> None:
        """The connection is gone."""

    def revoked(self) -> None:
        """The controller no longer knows this endpoint."""

    def receive(self, message: Offer | Withdraw | EndSession | DialRelay) -> None:
        """The controller wants something."""


class ControlChannel:
    """Keeps the connection up.

    Args:
        identity: who we are, and where the controller is.
        journal: what the controller has to be told.
        renewal: of the connection's certificate.
        user: what the connection is for.
        clock: for how long a connection lasted, and how far the two clocks are apart.
        backoff: how long to wait between attempts.
        find_proxy: returns the HTTP proxy on the way, if there is one.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        journal: Journal,
        renewal: Renewal,
        user: ChannelUser,
        clock: Clock,
        backoff: Backoff,
        find_proxy: Callable[[str], Proxy | None],
    ) -> None:
        self._identity = identity
        self._journal = journal
        self._renewal = renewal
        self._user = user
        self._clock = clock
        self._backoff = backoff
        self._find_proxy = find_proxy
        self._socket: ClientConnection | None = None
        self._welcomed_at: float | None = None
        self._last_failure = ""
        self.attempted = asyncio.Event()
        """Set once the first attempt has begun."""
        self.skew_seconds: float | None = None
        """How far this machine's clock is ahead of the controller's, as it was at the last welcome."""

    @property
    def connected(self) -> bool:
        """Whether the controller has welcomed us and the connection stands."""
        return self._welcomed_at is not None

    @property
    def last_failure(self) -> str:
        """Why the last attempt failed; empty if it did not."""
        return self._last_failure

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        while True:
            self.attempted.set()
            failure = await self._attempt()
            lasted = 0.0 if self._welcomed_at is None else self._clock.monotonic() - self._welcomed_at
            if self._welcomed_at is not None:
                self._welcomed_at = None
                self._user.lost()
            self._note_failure(str(failure))
            limit = _LIVE_LIMIT_SECONDS if self._user.has_live_sessions() else LAST_CEILING
            await asyncio.sleep(self._backoff.next_wait(lasted=lasted, retry_after=failure.retry_after, limit=limit))

    async def send(self, message: FromEndpoint) -> None:
        """Send a message if the connection stands; one that is only of use now is dropped otherwise."""
        if self._socket is None or not self.connected:
            return
        try:
            await self._socket.send(encode_message(message))
        except ConnectionClosed as error:
            _log.debug("a message was not sent: %s", error)

    async def _attempt(self) -> ChannelFailedError:
        """Have one connection, and return why it ended."""
        try:
            await self._connect_and_talk()
        except ChannelFailedError as error:
            return error
        except ssl.SSLCertVerificationError as error:
            return _untrusted(error)
        except ConnectionClosed:
            return ChannelFailedError("the connection was closed")
        except (KeyFileError, EnrolmentError, JournalError, ValueError, NoWayError) as error:
            return ChannelFailedError(str(error))
        except (WebSocketException, OSError) as error:
            return ChannelFailedError(one_line(str(error)) or "no answer in time")
        finally:
            self._socket = None
        return ChannelFailedError("the connection was closed")

    async def _connect_and_talk(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            socket = await connect_websocket(
                self._identity,
                CONTROL_PATH,
                find_proxy=self._find_proxy,
                ping_interval=HEARTBEAT_SECONDS,
                ping_timeout=HEARTBEAT_SECONDS / 2,
                close_timeout=_CLOSE_SECONDS,
                max_size=MAX_MESSAGE_BYTES,
            )
        async with socket:
            self._socket = socket
            await self._talk(socket)

    async def _talk(self, socket: ClientConnection) -> None:
        await socket.send(encode_message(self._user.hello()))
        async with asyncio.timeout(WELCOME_SECONDS):
            welcome = _decode(await socket.recv())
        if isinstance(welcome, Goodbye):
            raise self._dismissed(welcome)
        if not isinstance(welcome, Welcome):
            raise ChannelFailedError("the controller does not begin with a welcome")
        self._check_welcome(welcome)

        async def send_report(message: FromEndpoint) -> None:
            await socket.send(encode_message(message))

        reports = ReportSender(self._journal, send_report, welcome.acknowledged)
        await self._journal.acknowledge(welcome.acknowledged)
        self._enter(welcome)
        tasks = [
            asyncio.create_task(work, name=f"control channel {name}")
            for name, work in (
                ("reader", self._read(socket, reports)),
                ("reports", reports.run()),
                ("renewal", self._renew()),
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _check_welcome(self, welcome: Welcome) -> None:
        if welcome.version not in PROTOCOL_VERSIONS or welcome.endpoint_id != self._identity.endpoint_id:
            raise ChannelFailedError("the controller welcomes another endpoint, or in another version")
        if welcome.acknowledged > self._journal.size:
            raise ChannelFailedError(
                f"the controller has {welcome.acknowledged} statements of this journal, which has only "
                f"{self._journal.size}: was it restored from a backup?"
            )

    def _enter(self, welcome: Welcome) -> None:
        self.skew_seconds = (self._clock.now() - parse_time(welcome.time)).total_seconds()
        self._welcomed_at = self._clock.monotonic()
        self._last_failure = ""
        _log.info("connected to %s", self._identity.enrolment.controller_name)
        self._user.welcomed()

    async def _read(self, socket: ClientConnection, reports: ReportSender) -> None:
        bucket = TokenBucket(rate=_MESSAGES_PER_SECOND, burst=_MESSAGES_BURST, now=self._clock.monotonic())
        while True:
            message = _decode(await socket.recv())
            match message:
                case Acknowledged():
                    await reports.acknowledge(message.next_sequence)
                case Goodbye():
                    raise self._dismissed(message)
                case CertificateRenewed():
                    self._put_certificate(message.certificate)
                case Welcome():
                    raise ChannelFailedError("the controller welcomes twice")
                case _:
                    if not bucket.take(self._clock.monotonic()):
                        raise ChannelFailedError("the controller asks too often", retry_after=LAST_CEILING)
                    self._user.receive(message)

    async def _renew(self) -> None:
        while True:
            try:
                if self._renewal.due():
                    await self.send(self._renewal.request())
            except OSError as error:
                _log.warning("no new key for the control channel can be made: %s", error.strerror)
            await asyncio.sleep(CHECK_SECONDS)

    def _put_certificate(self, certificate: str) -> None:
        try:
            self._renewal.accept(certificate)
        except (EnrolmentError, OSError) as error:
            _log.warning("the control channel's certificate was not renewed: %s", error)
        else:
            _log.info("the control channel's certificate was renewed")

    def _dismissed(self, goodbye: Goodbye) -> ChannelFailedError:
        if goodbye.code is GoodbyeCode.REVOKED:
            self._user.revoked()
        return ChannelFailedError(
            f"the controller closed the connection ({_GOODBYES[goodbye.code]})", retry_after=goodbye.retry_after_seconds
        )

    def _note_failure(self, reason: str) -> None:
        if reason != self._last_failure:
            _log.warning("no connection to %s: %s", self._identity.enrolment.controller_name, reason)
        self._last_failure = reason


_GOODBYES: Final = {
    GoodbyeCode.VERSION: "it speaks another version; update latchstring",
    GoodbyeCode.REVOKED: "the vendor revoked this endpoint; enrol it anew",
    GoodbyeCode.REPLACED: "another agent connected as this endpoint; was its data directory copied?",
    GoodbyeCode.RESTARTING: "it restarts",
    GoodbyeCode.BUSY: "it is busy",
    GoodbyeCode.JOURNAL_BEHIND: (
        "it has more of this journal than is here: was the data directory restored from a backup, or copied? "
        "If this is the one to go on with, have the vendor revoke the endpoint, and enrol it anew"
    ),
    GoodbyeCode.MALFORMED: "it does not understand us",
}


def _untrusted(error: Exception) -> ChannelFailedError:
    reason = one_line(str(error))
    return ChannelFailedError(f"its certificate is not trusted ({reason}); is this machine's clock right?")


def _decode(frame: str | bytes) -> FromController:
    if isinstance(frame, str):
        with contextlib.suppress(MessageError):
            return decode_from_controller(frame)
    raise ChannelFailedError("the controller says something that is not understood")
