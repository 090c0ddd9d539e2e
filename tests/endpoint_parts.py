"""Parts of an endpoint for unit tests: a clock that is set by hand, a sandbox that only counts, a real journal."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from latchstring.certs.identity import create_log_key
from latchstring.certs.keyfiles import PRIVATE_DIRECTORY_MODE
from latchstring.certs.note_signer import Ed25519NoteSigner
from latchstring.certs.signer import Signer
from latchstring.endpoint.data_directory import DataDirectory
from latchstring.endpoint.errors import JournalUnavailableError
from latchstring.endpoint.journal.journal import Journal
from latchstring.endpoint.journal.reading import JournalEntry, read_journal
from latchstring.endpoint.journal.reserve import Reserve
from latchstring.endpoint.journal.store import Item, JournalStore
from latchstring.endpoint.lifecycle import Lifecycle
from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.sandbox.sandbox import KillReport, Sandbox
from latchstring.protocol.access import AccessMode
from latchstring.protocol.events import EndpointEvent
from latchstring.protocol.grants import Offer

ENDPOINT_ID = "ept-" + "a" * 16
CUSTOMER_ID = "cus-" + "a" * 16
ORIGIN = f"support.example.test/journal/{ENDPOINT_ID}"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"


def session_id(number: int = 0) -> str:
    """Return the id of a session for tests."""
    return "ses-" + "abcdefghijklmnop"[:15] + "abcdefghijklmnopqrstuvwxyz234567"[number]


def make_offer(number: int = 0, **changes: Any) -> Offer:
    """Return an offer, with some of its fields changed."""
    fields: dict[str, Any] = {
        "session_id": session_id(number),
        "endpoint_id": ENDPOINT_ID,
        "endpoint_name": "acme-pbx1",
        "customer_id": CUSTOMER_ID,
        "engineer": {"account_id": "acc-" + "a" * 16, "name": "Ann", "email": "ann@example.test"},
        "ssh_public_key": KEY,
        "purpose": "maintenance",
        "capabilities": ("exec", "shell"),
        "duration_seconds": 3600,
    }
    return Offer.model_validate({**fields, **changes})


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.elapsed = 0.0

    def now(self) -> datetime:
        """Return the wall clock's time."""
        return datetime(2026, 11, 25, tzinfo=UTC) + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        """Return the monotonic time."""
        return 1000.0 + self.elapsed


class FakeSandbox:
    """Counts its kills; it is dead once killed, and can be let go on its own."""

    def __init__(self) -> None:
        self.kills = 0
        self.ended = asyncio.Event()

    @property
    def is_alive(self) -> bool:
        """Whether it was not killed."""
        return not self.ended.is_set()

    def kill_now(self) -> None:
        """Take the kill."""
        self.kills += 1
        self.ended.set()

    async def kill(self) -> KillReport:
        """Kill, and prove it."""
        self.kill_now()
        return KillReport(processes_left=0, seconds=0.001)

    async def wait_ended(self) -> None:
        """Wait for the end."""
        await self.ended.wait()


class BreakableStore(JournalStore):
    """A journal's file on a disk that can be broken."""

    broken = False

    def append(self, items: Any) -> int:
        """Append, unless the disk is broken."""
        if self.broken:
            raise JournalUnavailableError("the journal cannot be written: disk I/O error")
        return super().append(items)


class House:
    """A journal, a lifecycle and what they need, in one directory."""

    def __init__(self, path: Path, signer: Signer, policy: Policy) -> None:
        self.directory = DataDirectory(path)
        self.clock = FakeClock()
        self.note_signer = Ed25519NoteSigner(ORIGIN, signer)
        self.signer = signer
        self.store = self.open_store()
        self.journal = Journal(self.store, Reserve(self.directory.journal_reserve), self.clock, retry_seconds=0.01)
        self.mode = AccessMode.ASK
        self.sandboxes: list[FakeSandbox] = []
        self.gate = asyncio.Event()
        """Closed, it keeps sandboxes from starting."""
        self.gate.set()
        self.starting = asyncio.Event()
        self.sandbox_fault: Exception | None = None
        self.lifecycle = Lifecycle(
            endpoint_id=ENDPOINT_ID,
            customer_id=CUSTOMER_ID,
            policy=policy,
            mode=lambda: self.mode,
            start_sandbox=self.start_sandbox,
            journal=self.journal,
            clock=self.clock,
        )

    def open_store(self) -> BreakableStore:
        """Open the journal's file."""
        return BreakableStore(
            self.directory.journal, endpoint_id=ENDPOINT_ID, signer=self.signer, note_signer=self.note_signer
        )

    async def start_sandbox(self, policy: Policy) -> Sandbox:
        """Start a sandbox that only counts."""
        del policy
        self.starting.set()
        await self.gate.wait()
        if self.sandbox_fault is not None:
            raise self.sandbox_fault
        sandbox = FakeSandbox()
        self.sandboxes.append(sandbox)
        return cast("Sandbox", sandbox)

    async def offered(self, number: int = 0, **changes: Any) -> str:
        """Offer a session, wait until it is decided or shown, and return its id."""
        offer = make_offer(number, **changes)
        self.lifecycle.offer(offer)
        while not self._is_settled(offer.session_id):
            await self.journal.standing(offer.session_id)  # a turn of the loop and of the journal's thread
        await self.journal.flush(5)
        return offer.session_id

    def _is_settled(self, session_id: str) -> bool:
        requests = self.lifecycle.requests
        waits = any(request.session_id == session_id for request in requests.shown())
        known = session_id in requests or session_id in self.lifecycle._arriving
        return waits or session_id in self.lifecycle.sessions or not known

    def entries(self) -> list[JournalEntry]:
        """Return what is in the journal."""
        with read_journal(self.directory.journal) as reader:
            return list(reader.entries())

    def events(self) -> list[EndpointEvent]:
        """Return the events in the journal."""
        return [entry.statement.event for entry in self.entries()]

    def types(self) -> list[str]:
        """Return the types of the events in the journal."""
        return [event.type for event in self.events()]


def _make_directory(path: Path) -> None:
    path.mkdir(mode=PRIVATE_DIRECTORY_MODE, exist_ok=True)


@asynccontextmanager
async def make_house(path: Path, policy: Policy | None = None) -> AsyncIterator[House]:
    """Set up a house, and end everything in it."""
    _make_directory(path)
    house = House(path, create_log_key(path / "journal.key"), policy or Policy())
    try:
        yield house
    finally:
        house.gate.set()
        house.store.broken = False
        for session in house.lifecycle.sessions.all():
            session.sandbox.kill_now()
        await house.lifecycle.settle()
        await house.journal.flush(5)
        await house.journal.close()


def item(event: EndpointEvent, **changes: Any) -> Item:
    """Return an item for the journal's file."""
    return Item(event=event, time="2026-11-25T00:00:00.000Z", **changes)
