"""The controller's core for tests: real store, logs and services on a temporary SQLite file, and fakes of its ports."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from latchstring.certs.identity import create_certificate_request
from latchstring.certs.signer import FileSigner
from latchstring.certs.ssh_authority import SshHostAuthority, SshUserAuthority
from latchstring.certs.ssh_public_key import fingerprint_of, format_public_key
from latchstring.certs.x509_authority import X509Authority, create_root
from latchstring.controller.accounts.actor import Actor
from latchstring.controller.accounts.changes import AccountChanges
from latchstring.controller.accounts.passwords import Passwords
from latchstring.controller.accounts.service import AccountService
from latchstring.controller.bus import LocalBus
from latchstring.controller.enrolment.customers import CustomerService
from latchstring.controller.enrolment.service import EnrolmentIdentity, EnrolmentService
from latchstring.controller.errors import RelayBusyError
from latchstring.controller.log.check import check_log
from latchstring.controller.log.recorder import LogRecorder
from latchstring.controller.log.refusals import RefusalLog
from latchstring.controller.log.writer import LogWriter
from latchstring.controller.sessions.dependencies import SessionDependencies
from latchstring.controller.sessions.dialling import DialService, RelayAddress
from latchstring.controller.sessions.presence import Presence
from latchstring.controller.sessions.reports import EndpointReports, HelloAnswer
from latchstring.controller.sessions.service import SessionService
from latchstring.controller.sessions.sweeper import Sweeper, SweepSettings
from latchstring.controller.store.migrate import migrate
from latchstring.controller.store.store import Store
from latchstring.protocol import events
from latchstring.protocol.access import AccessMode
from latchstring.protocol.api import SessionRequest
from latchstring.protocol.enrolment import EnrolmentCode, EnrolmentKeys, EnrolmentRequest, sign_enrolment
from latchstring.protocol.entries import Entry, parse_entry, verify_attestation
from latchstring.protocol.events import Role
from latchstring.protocol.frontier import StreamingRoot
from latchstring.protocol.grants import grant_from_offer
from latchstring.protocol.ids import RANDOM_BYTES, make_id
from latchstring.protocol.merkle import leaf_hash
from latchstring.protocol.messages import FromController, Goodbye, Hello
from latchstring.protocol.messages import Offer as OfferMessage
from latchstring.protocol.purposes import Purpose
from latchstring.protocol.statements import SignedStatement, Statement, sign_statement
from latchstring.protocol.times import format_time

NAME = "support.example.test"
SOURCE = "192.0.2.7"
START = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
QUICK_PASSWORDS = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class FakeClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        """Return the wall clock's time."""
        return START + timedelta(seconds=self.seconds - 1000.0)

    def monotonic(self) -> float:
        """Return the monotonic clock's seconds."""
        return self.seconds

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


class FakeChannels:
    """Channels that keep what was sent."""

    def __init__(self) -> None:
        self.connected: set[str] = set()
        self.sent: list[tuple[str, FromController]] = []
        self.closed: list[tuple[str, Goodbye]] = []

    def is_connected(self, endpoint_id: str) -> bool:
        """Return whether the endpoint is connected."""
        return endpoint_id in self.connected

    def send(self, endpoint_id: str, message: FromController) -> bool:
        """Keep a message."""
        if endpoint_id not in self.connected:
            return False
        self.sent.append((endpoint_id, message))
        return True

    def close(self, endpoint_id: str, goodbye: Goodbye) -> None:
        """Keep a goodbye."""
        if endpoint_id in self.connected:
            self.closed.append((endpoint_id, goodbye))
            self.connected.discard(endpoint_id)

    def of_type(self, kind: str) -> list[Any]:
        """Return the messages of a type."""
        return [message for _, message in self.sent if message.type == kind]


@dataclass(frozen=True)
class FakeDial:
    """A dial of the fake relay."""

    dial_id: str
    engineer_secret: bytes = field(default=b"e" * 32, repr=False)
    endpoint_secret: bytes = field(default=b"p" * 32, repr=False)


class FakeRelay:
    """A relay that keeps what was asked of it."""

    def __init__(self) -> None:
        self.busy = False
        self.issued: list[str] = []
        self.cuts: list[str] = []

    def issue(self, session_id: str) -> FakeDial:
        """Issue a dial."""
        if self.busy:
            raise RelayBusyError("busy")
        self.issued.append(session_id)
        return FakeDial(make_id("dia", len(self.issued).to_bytes(RANDOM_BYTES, "big")))

    def cut(self, session_id: str) -> None:
        """Keep a cut."""
        self.cuts.append(session_id)


def ed25519_signer() -> FileSigner:
    """Return a signer with a fresh Ed25519 key."""
    return FileSigner(Ed25519PrivateKey.generate())


ENGINEER_KEY = format_public_key(ed25519_signer().public_key)


@dataclass
class Machine:
    """A customer's machine: its journal key, and how far its journal goes."""

    endpoint_id: str
    name: str
    customer_id: str
    journal: Ed25519PrivateKey
    sequence: int = 0

    def say(self, event: Any, *, sequence: int | None = None) -> SignedStatement:
        """Write the next statement of the journal, or one with another sequence."""
        if sequence is None:
            sequence, self.sequence = self.sequence, self.sequence + 1
        statement = Statement(endpoint_id=self.endpoint_id, sequence=sequence, time=format_time(START), event=event)
        return sign_statement(statement, self.journal)

    def hello(self, *live_sessions: str, journal_size: int | None = None) -> Hello:
        """Introduce the machine."""
        return Hello(
            versions=(1,),
            agent_version="0.1.0",
            time=format_time(START),
            access=AccessMode.ASK,
            journal_size=self.sequence if journal_size is None else journal_size,
            live_sessions=live_sessions,
        )


@dataclass
class Core:
    """The controller's core and its fakes."""

    path: Path
    store: Store
    clock: FakeClock
    channels: FakeChannels
    relay: FakeRelay
    writer: LogWriter
    dependencies: SessionDependencies
    presence: Presence
    accounts: AccountService
    account_changes: AccountChanges
    customers: CustomerService
    enrolment: EnrolmentService
    sessions: SessionService
    dials: DialService
    reports: EndpointReports
    sweeper: Sweeper

    async def actor(self, role: Role = Role.ENGINEER, email: str = "ada@example.test") -> Actor:
        """Make an account and act for it."""
        account_id = await self.accounts.create(email, "Ada Example", role, "correct horse battery")
        return Actor(account_id=account_id, name="Ada Example", email=email, role=role, source=SOURCE)

    async def machine(self, name: str = "acme-pbx1", customer: str = "Acme Dental") -> Machine:
        """Add a customer if it is new, invite and enrol a machine of it."""
        if customer not in {known.name for known in await self.customers.list()}:
            await self.customers.add(customer)
        invited = await self.enrolment.invite(name, customer, address="support.example.test:8443")
        journal = Ed25519PrivateKey.generate()
        response = await self.enrolment.enrol(enrolment_request(invited.code, journal), SOURCE)
        return Machine(response.endpoint_id, name, response.customer_id, journal)

    async def connect(self, machine: Machine, *live_sessions: str, journal_size: int | None = None) -> HelloAnswer:
        """Connect a machine."""
        hello = machine.hello(*live_sessions, journal_size=journal_size)
        answer = await self.reports.hello(machine.endpoint_id, hello, SOURCE)
        self.channels.connected.add(machine.endpoint_id)
        for message in answer.messages:
            self.channels.send(machine.endpoint_id, message)
        return answer

    async def disconnect(self, machine: Machine, answer: HelloAnswer) -> None:
        """Take a machine's connection down."""
        self.channels.connected.discard(machine.endpoint_id)
        await self.reports.disconnected(machine.endpoint_id, answer.connection)

    async def report(self, machine: Machine, *reported: Any) -> int:
        """Report events in one batch."""
        return await self.reports.accept(machine.endpoint_id, [machine.say(event) for event in reported])

    async def grant(self, actor: Actor, machine: Machine) -> str:
        """Ask for a session, have it granted, and return its id."""
        view = await self.sessions.request(actor, session_request(machine.name))
        await self.report(machine, self.granted())
        return view.id

    def granted(self, **changes: Any) -> events.SessionGranted:
        """Return the customer's yes to the newest offer."""
        offer = [message for _, message in self.channels.sent if isinstance(message, OfferMessage)][-1].offer
        answer = grant_from_offer(offer, capabilities=offer.capabilities, duration_seconds=offer.duration_seconds)
        fields: dict[str, Any] = {
            "session_id": offer.session_id,
            "grant_digest": answer.digest(),
            "engineer_key": fingerprint_of(offer.ssh_public_key),
            "capabilities": answer.capabilities,
            "duration_seconds": answer.duration_seconds,
            "decided_by": events.DecidedBy.CUSTOMER_CLI,
        }
        return events.SessionGranted(**fields | changes)

    async def log(self, log_id: str) -> list[Entry]:
        """Verify a log as an auditor would, from its first entry to its checkpoint, and return its entries."""
        return await read_log(self.store, self.writer, log_id)

    async def types(self, log_id: str) -> list[str]:
        """Verify a log and return the types of its events."""
        return [entry.event.type for entry in await self.log(log_id)]


async def read_log(store: Store, writer: LogWriter, log_id: str) -> list[Entry]:
    """Verify a whole log and return its entries."""
    async with store.read() as tx:
        head = await tx.logs.head(log_id)
        assert head is not None
        await check_log(tx, writer, head)
        rows = await tx.logs.entries(log_id, start=0, limit=1_000_000)
        machines = await tx.endpoints.of_customer(log_id)
    keys = {
        machine.id: Ed25519PublicKey.from_public_bytes(bytes.fromhex(machine.journal_key))
        for machine in machines
        if machine.journal_key
    }
    assert [row.index for row in rows] == list(range(head.size))
    tree = StreamingRoot()
    tree.add_all(leaf_hash(row.body) for row in rows)
    assert tree.root() == head.frontier.root()
    entries = [parse_entry(row.body) for row in rows]
    for entry, row in zip(entries, rows, strict=True):
        verify_attestation(entry, keys)
        assert row.type == entry.event.type
        assert row.session_id == getattr(entry.event, "session_id", None)
    return entries


def enrolment_request(code: EnrolmentCode, journal: Ed25519PrivateKey, **changes: Any) -> EnrolmentRequest:
    """Take up an invitation with fresh keys."""
    tls = FileSigner(ec.generate_private_key(ec.SECP256R1()))
    fields: dict[str, Any] = {
        "invitation_key": code.public_key_hex(),
        "signing_request": create_certificate_request(tls, "an endpoint").decode(),
        "ssh_host_key": format_public_key(ed25519_signer().public_key),
        "journal_key": journal.public_key().public_bytes_raw().hex(),
    }
    return sign_enrolment(code, EnrolmentKeys(**fields | changes))


def session_request(endpoint: str = "acme-pbx1", **changes: Any) -> SessionRequest:
    """Ask for an hour of shell."""
    fields: dict[str, Any] = {
        "endpoint": endpoint,
        "purpose": Purpose.MAINTENANCE,
        "capabilities": ("shell", "sftp_read"),
        "duration_seconds": 3600,
        "ssh_public_key": ENGINEER_KEY,
    }
    return SessionRequest(**fields | changes)


@asynccontextmanager
async def open_core(path: Path, clock: FakeClock | None = None) -> AsyncIterator[Core]:
    """Make the controller's core on a fresh database."""
    await migrate(path)
    store = await Store.open(path)
    try:
        core = make_core(path, store, clock or FakeClock())
        await LogRecorder(store, core.writer).open_operator_log()
        yield core
    finally:
        await store.close()


def make_core(path: Path, store: Store, clock: FakeClock) -> Core:
    """Put the controller's core together with fresh keys."""
    writer = LogWriter(NAME, ed25519_signer(), clock)
    channels, relay, presence = FakeChannels(), FakeRelay(), Presence(clock)
    refusals = RefusalLog(store, writer)
    passwords = Passwords(QUICK_PASSWORDS)
    dependencies = SessionDependencies(
        store=store,
        writer=writer,
        refusals=refusals,
        channels=channels,
        relay=relay,
        bus=LocalBus(),
        clock=clock,
        random=secrets.token_bytes,
    )
    root_signer = FileSigner(ec.generate_private_key(ec.SECP256R1()))
    user_ca = SshUserAuthority(ed25519_signer())
    identity = EnrolmentIdentity(NAME, NAME, 8444, NAME, 7022, user_ca.public_key, b"r" * 32)
    return Core(
        path=path,
        store=store,
        clock=clock,
        channels=channels,
        relay=relay,
        writer=writer,
        dependencies=dependencies,
        presence=presence,
        accounts=AccountService(store, writer, refusals, clock, secrets.token_bytes, passwords),
        account_changes=AccountChanges(store, writer, clock, passwords),
        customers=CustomerService(store, writer, clock, secrets.token_bytes),
        enrolment=EnrolmentService(
            store,
            writer,
            clock,
            secrets.token_bytes,
            X509Authority(create_root(NAME, root_signer, START), root_signer),
            SshHostAuthority(ed25519_signer()),
            identity,
            refusals,
        ),
        sessions=SessionService(dependencies),
        dials=DialService(dependencies, user_ca=user_ca, relay_address=RelayAddress(NAME, 7022)),
        reports=EndpointReports(dependencies, presence),
        sweeper=Sweeper(dependencies, presence, SweepSettings()),
    )
