"""What an administrator's commands do on the controller's machine, beside a running ``serve`` or without one."""

import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from latchstring.certs import controller_keys
from latchstring.certs.controller_keys import ControllerKeys
from latchstring.certs.keyfiles import create_private
from latchstring.certs.x509_verify import fingerprint
from latchstring.controller.accounts.changes import AccountChanges
from latchstring.controller.accounts.service import AccountService
from latchstring.controller.addressing import listen_addresses, public_addresses
from latchstring.controller.clock import SystemClock
from latchstring.controller.data_directory import (
    BoundAddresses,
    DataDirectory,
    create_directory,
    open_directory,
)
from latchstring.controller.enrolment.customers import CustomerService
from latchstring.controller.enrolment.directory import EndpointDirectory
from latchstring.controller.enrolment.service import EnrolmentIdentity, EnrolmentService
from latchstring.controller.errors import StoreUnavailableError
from latchstring.controller.log.recorder import LogRecorder
from latchstring.controller.log.refusals import RefusalLog
from latchstring.controller.log.writer import LogWriter
from latchstring.controller.ports import Clock, Random
from latchstring.controller.settings import ControllerSettings, dump_settings, load_settings
from latchstring.controller.setup_error import SetupError
from latchstring.controller.store.migrate import migrate
from latchstring.controller.store.store import Store


class DatabaseError(SetupError):
    """The database cannot be opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """What every service stands on."""

    settings: ControllerSettings
    keys: ControllerKeys
    store: Store
    writer: LogWriter
    refusals: RefusalLog
    clock: Clock
    random: Random

    def accounts(self) -> AccountService:
        """Return the service of accounts."""
        return AccountService(self.store, self.writer, self.refusals, self.clock, self.random)

    def account_changes(self) -> AccountChanges:
        """Return what changes accounts."""
        return AccountChanges(self.store, self.writer, self.clock)

    def customers(self) -> CustomerService:
        """Return the service of customers."""
        return CustomerService(self.store, self.writer, self.clock, self.random)

    def enrolment(self, public: BoundAddresses) -> EnrolmentService:
        """Return the service of enrolment, for a controller that is dialled at ``public``."""
        identity = EnrolmentIdentity(
            controller_name=self.settings.name,
            tunnel_host=public.tunnel.host,
            tunnel_port=public.tunnel.port,
            relay_host=public.relay.host,
            relay_port=public.relay.port,
            user_ca=self.keys.user_ca.public_key,
            root_sha256=hashlib.sha256(self.keys.x509.root.public_bytes(Encoding.DER)).digest(),
        )
        return EnrolmentService(
            self.store,
            self.writer,
            self.clock,
            self.random,
            self.keys.x509,
            self.keys.host_ca,
            identity,
            self.refusals,
        )


@dataclass(frozen=True, slots=True)
class Administration:
    """One command's work."""

    directory: DataDirectory
    foundation: Foundation

    def public_addresses(self) -> BoundAddresses:
        """Return what others dial.

        Raises:
            PortUnknownError: a port is left to chance, and ``serve`` has never run.
        """
        settings = self.foundation.settings
        return public_addresses(settings, listen_addresses(settings, self.directory.read_bound()))

    def endpoints(self) -> EndpointDirectory:
        """Return the directory of endpoints, which knows nothing of their connections in this process."""
        return EndpointDirectory(self.foundation.store, None)


async def initialise(path: Path, settings: ControllerSettings) -> str:
    """Make a controller in the data directory ``path``, and return its root's fingerprint.

    Raises:
        DataDirectoryError: something is there already; nothing was changed.
    """
    clock = SystemClock()
    with create_directory(path) as directory:
        keys = controller_keys.create(directory.keys, settings.name, clock.now())
        create_private(directory.settings, dump_settings(settings).encode())
        await migrate(directory.database)
        store = await Store.open(directory.database)
        try:
            await LogRecorder(store, LogWriter(settings.name, keys.log_signer, clock)).open_operator_log()
        finally:
            await store.close()
    return fingerprint(keys.x509.root)


@asynccontextmanager
async def open_foundation(directory: DataDirectory, settings: ControllerSettings) -> AsyncIterator[Foundation]:
    """Open keys and database of a controller.

    Raises:
        ControllerKeysError: the keys cannot be used.
        StoreDamagedError: the database is not ours, or of another version.
        DatabaseError: the database cannot be opened now.
    """
    clock = SystemClock()
    keys = controller_keys.load(directory.keys)
    try:
        store = await Store.open(directory.database)
    except StoreUnavailableError as error:
        raise DatabaseError(f"{directory.database} cannot be opened: {_reason(error)}") from error
    writer = LogWriter(settings.name, keys.log_signer, clock)
    try:
        yield Foundation(
            settings=settings,
            keys=keys,
            store=store,
            writer=writer,
            refusals=RefusalLog(store, writer),
            clock=clock,
            random=secrets.token_bytes,
        )
    finally:
        await store.close()


@asynccontextmanager
async def administration(path: Path) -> AsyncIterator[Administration]:
    """Open the controller in the data directory ``path`` for one command.

    Raises:
        SetupError: the data directory or its settings cannot be used.
    """
    directory = open_directory(path)
    async with open_foundation(directory, load_settings(directory.settings)) as foundation:
        yield Administration(directory, foundation)


def _reason(error: StoreUnavailableError) -> str:
    """Return the driver's own words, which name no contents."""
    return str(getattr(error.__cause__, "orig", None) or error.__cause__ or error)
