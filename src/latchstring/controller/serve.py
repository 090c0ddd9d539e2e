"""``latch-controller serve``: starts everything in order, and stops it in order."""

import asyncio
import logging
import os
import resource
import socket
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

from latchstring import __version__
from latchstring.certs.tls_contexts import TlsCredentials
from latchstring.controller.addresses import Address
from latchstring.controller.addressing import public_addresses
from latchstring.controller.administration import Foundation, open_foundation
from latchstring.controller.background import repeat
from latchstring.controller.composition import Controller, compose
from latchstring.controller.data_directory import BoundAddresses, DataDirectory, lock, open_directory
from latchstring.controller.errors import StoreDamagedError, StoreUnavailableError
from latchstring.controller.https.admission import AdmissionLimits
from latchstring.controller.https.credentials import ListenerContext, ServerCertificate
from latchstring.controller.https.listener import ListenerLimits, ListenError, bind
from latchstring.controller.https.site import TlsSite
from latchstring.controller.log.check import check_logs
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.controller.log.recorder import LogRecorder
from latchstring.controller.log.refusals import RefusalLog
from latchstring.controller.relay.server import Relay
from latchstring.controller.relay_bridge import RelayedConnections
from latchstring.controller.settings import ControllerSettings, load_settings
from latchstring.controller.store.migrate import migrate
from latchstring.protocol.events import ControllerStarted, ControllerStopped

SWEEP_SECONDS: Final = 1.0
CERTIFICATE_SECONDS: Final = 60.0
_FAREWELL_SECONDS: Final = 2.0
_PEOPLE: Final = ListenerLimits(connections=AdmissionLimits(total=2_000, per_source=200))
_TUNNEL: Final = ListenerLimits(connections=AdmissionLimits(total=50_000, per_source=10_000))

_log = logging.getLogger(__name__)


async def serve(
    path: Path, *, public_credentials: TlsCredentials | None, announce: Callable[[str], None], stop: asyncio.Event
) -> None:
    """Run the controller in the data directory ``path`` until ``stop`` is set.

    Args:
        path: the data directory.
        public_credentials: certificate and key for the listener for people; None for ones of the controller's root.
        announce: is called once, with one line, when everything is up.
        stop: ends it.

    Raises:
        SetupError: something that the administrator can put right, such as a port that is taken.
        StoreDamagedError: the database or a log in it does not hold together.
    """
    _raise_descriptor_limit()
    directory = open_directory(path)
    async with AsyncExitStack() as stack:
        stack.enter_context(lock(directory.path))
        settings = load_settings(directory.settings)
        await _migrate(directory)
        foundation = await stack.enter_async_context(open_foundation(directory, settings))
        await check_logs(foundation.store, foundation.writer)
        certificates = _Certificates(directory, foundation, public_credentials)
        listeners = await _Listeners.open(settings, stack)
        controller = compose(foundation, listeners.relay, public_addresses(settings, listeners.addresses))
        recorder = LogRecorder(foundation.store, foundation.writer)
        await recorder.record(OPERATOR_LOG, ControllerStarted(version=__version__))
        stack.push_async_callback(_record_stop, recorder, foundation.refusals)
        await _start(controller, listeners, certificates, stack)
        directory.write_bound(listeners.addresses)
        public = public_addresses(settings, listeners.addresses)
        announce(
            f"latch-controller: ready, people on https://{public.people}, endpoints on {public.tunnel}, "
            f"relay on {public.relay}"
        )
        await stop.wait()
        _log.info("stopping")


class _Certificates:
    """The TLS contexts of the two listeners, kept fresh."""

    def __init__(
        self, directory: DataDirectory, foundation: Foundation, public_credentials: TlsCredentials | None
    ) -> None:
        authority = foundation.keys.x509
        names = foundation.settings.server_names()
        self._own = ServerCertificate(directory, authority, names, foundation.clock)
        self.tunnel = ListenerContext(self._own.credentials, client_root=authority.root_pem())
        self.people = ListenerContext(public_credentials or self._own.credentials)

    async def refresh(self) -> None:
        """Renew what is due, and load what changed."""
        self._own.renew_if_due()
        self.tunnel.reload_if_changed()
        self.people.reload_if_changed()


class _Listeners:
    """Every socket that the controller listens on, bound before anything is logged or served."""

    def __init__(
        self,
        people: socket.socket,
        tunnel: socket.socket,
        relay: Relay,
        relayed: RelayedConnections,
        *,
        addresses: BoundAddresses,
    ) -> None:
        self.people = people
        self.tunnel = tunnel
        self.relay = relay
        self.relayed = relayed
        self.addresses = addresses

    @classmethod
    async def open(cls, settings: ControllerSettings, stack: AsyncExitStack) -> "_Listeners":
        """Bind all.

        Raises:
            ListenError: one cannot be bound.
        """
        people = stack.enter_context(bind(settings.listen))
        tunnel = stack.enter_context(bind(settings.tunnel_listen))
        relayed = RelayedConnections()
        relay = Relay(clock=asyncio.get_running_loop().time, random=os.urandom, observer=relayed)
        try:
            _, relay_port = await relay.start(settings.relay_listen.host, settings.relay_listen.port)
        except OSError as error:
            raise ListenError.of(settings.relay_listen, error) from error
        stack.push_async_callback(relay.close)
        addresses = BoundAddresses(
            people=_with_port(settings.listen, people.getsockname()[1]),
            tunnel=_with_port(settings.tunnel_listen, tunnel.getsockname()[1]),
            relay=_with_port(settings.relay_listen, relay_port),
        )
        return cls(people, tunnel, relay, relayed, addresses=addresses)


async def _start(
    controller: Controller, listeners: _Listeners, certificates: _Certificates, stack: AsyncExitStack
) -> None:
    """Start to serve. What is pushed last on ``stack`` stops first."""
    _log_relayed(controller, listeners, stack)
    _in_background(stack, "sweeps", repeat("a sweep", SWEEP_SECONDS, controller.sweeper.step))
    _in_background(stack, "certificates", repeat("certificates", CERTIFICATE_SECONDS, certificates.refresh))
    people = TlsSite(controller.api, listeners.people, certificates.people.context, _PEOPLE)
    channels = controller.channels.application(controller.relay_websockets.handle)
    tunnel = TlsSite(channels, listeners.tunnel, certificates.tunnel.context, _TUNNEL)
    for site in (people, tunnel):
        stack.push_async_callback(site.close)
        await site.start()
    stack.push_async_callback(controller.relay_websockets.close)
    stack.push_async_callback(controller.channels.close)
    for site in (people, tunnel):
        stack.push_async_callback(site.stop_accepting)


def _log_relayed(controller: Controller, listeners: _Listeners, stack: AsyncExitStack) -> None:
    """Log the end of every relayed connection, of those as well that end because the relay closes."""
    task = asyncio.create_task(listeners.relayed.run(controller.sessions.relay_closed), name="relayed connections")

    async def end() -> None:
        await listeners.relay.close()
        listeners.relayed.finish()
        _, late = await asyncio.wait((task,), timeout=_FAREWELL_SECONDS)
        if late:
            _log.warning("the ends of some relayed connections could not be logged")
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)


def _in_background(stack: AsyncExitStack, name: str, work: Coroutine[None, None, None]) -> None:
    task = asyncio.create_task(work, name=name)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)


async def _migrate(directory: DataDirectory) -> None:
    if not directory.database.is_file():
        raise StoreDamagedError(f"{directory.database} is missing; restore it from a backup")
    report = await migrate(directory.database)
    if report.applied:
        _log.info("brought the database from schema %s to %s", report.before, report.after)


async def _record_stop(recorder: LogRecorder, refusals: RefusalLog) -> None:
    try:
        await refusals.close()
        await recorder.record(OPERATOR_LOG, ControllerStopped())
    except StoreUnavailableError:
        _log.warning("the controller's stop could not be logged")


def _with_port(address: Address, port: int) -> Address:
    return Address(address.host, port)


def _raise_descriptor_limit() -> None:
    """Allow as many connections as the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
