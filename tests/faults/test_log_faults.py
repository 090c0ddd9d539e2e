"""The log under faults: contended, killed, full, read-only. After each, the whole log is verified."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from controller_parts import Core, FakeClock, Machine, make_core, open_core, read_log, session_request
from latchstring.certs.identity import create_log_key
from latchstring.certs.signer import FileSigner
from latchstring.controller.errors import LogDamagedError, StoreUnavailableError
from latchstring.controller.log.check import check_logs
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.controller.log.recorder import LogRecorder
from latchstring.controller.log.writer import LogWriter
from latchstring.controller.store.migrate import migrate
from latchstring.controller.store.store import Store
from latchstring.protocol import events
from latchstring.protocol.api import DialRequest
from latchstring.protocol.endings import Reason
from latchstring.protocol.problems import ProblemCode
from latchstring.protocol.session_state import SessionState

APPENDER = Path(__file__).with_name("log_appender.py")
NAME = "support.example.test"


class LogSite:
    """A database with a log, its key, and processes that append to it."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "controller.db"
        self._key = folder / "log.key"
        self._signer: FileSigner = create_log_key(self._key)
        self._processes: list[subprocess.Popen[str]] = []

    def writer(self) -> LogWriter:
        """Return a writer with the log's key."""
        return LogWriter(NAME, self._signer, FakeClock())

    async def create(self) -> None:
        """Make the database and the log."""
        await migrate(self.database)
        store = await Store.open(self.database)
        await LogRecorder(store, self.writer()).open_operator_log()
        await store.close()

    def start(self, *, tasks: int, each: int) -> subprocess.Popen[str]:
        """Start a process that appends."""
        command = [sys.executable, str(APPENDER), str(self.database), str(self._key), str(tasks), str(each)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._processes.append(process)
        return process

    async def verify(self) -> int:
        """Verify the whole log as after a start, and return its size."""
        await migrate(self.database)
        store = await Store.open(self.database)
        try:
            assert await check_logs(store, self.writer()) == 1
            return len(await read_log(store, self.writer(), OPERATOR_LOG))
        finally:
            await store.close()

    def close(self) -> None:
        """End the processes that are left."""
        for process in self._processes:
            process.kill()
            process.communicate()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LogSite]:
    """Return a site in a temporary folder."""
    made = LogSite(tmp_path)
    yield made
    made.close()


async def test_two_processes_append_to_one_log(site: LogSite) -> None:
    """Two processes with five tasks of ten appends each make a hundred entries in one sound log."""
    await site.create()
    processes = [site.start(tasks=5, each=10) for _ in range(2)]
    sizes = [int(line.split()[1]) for process in processes for line in process.communicate(timeout=60)[0].splitlines()]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(sizes) == list(range(2, 102))
    assert await site.verify() == 101


async def test_killed_while_appending(site: LogSite) -> None:
    """Killed in the middle of appends, again and again: nothing acknowledged is missing, and the log is sound."""
    await site.create()
    durable = 1
    for appends in (1, 7, 40):
        process = site.start(tasks=3, each=0)
        assert process.stdout is not None
        seen = [int(process.stdout.readline().split()[1]) for _ in range(appends)]
        os.kill(process.pid, signal.SIGKILL)
        rest = process.communicate(timeout=60)[0].splitlines()
        seen += [int(line.split()[1]) for line in rest if line.count(" ") == 1 and line.split()[1]]
        size = await site.verify()
        assert max(seen) <= size
        assert size > durable
        durable = size


def pragma(core: Core, setting: str) -> int | None:
    """Set or ask something of the connection that writes, outside any transaction."""
    connection = core.store._writing.engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA {setting}")
        row = cursor.fetchone()
        cursor.close()
    finally:
        connection.close()
    return None if row is None else int(row[0])


async def make_full(core: Core) -> None:
    """Let the database not grow any more, as on a disk that is full."""
    pragma(core, f"max_page_count={pragma(core, 'page_count')}")
    # What room is left within pages is used up, by the smallest entries that there are.
    for log_id in (OPERATOR_LOG, *[customer.id for customer in await core.customers.list()]):
        with contextlib.suppress(StoreUnavailableError):
            while True:
                async with core.store.write() as tx:
                    await core.writer.record(tx, log_id, events.LogOpened())


async def make_roomy(core: Core) -> None:
    """Let the database grow again."""
    pragma(core, "max_page_count=1000000")


async def make_read_only(core: Core) -> None:
    """Let the database not be written, as on a file system that is read-only."""
    pragma(core, "query_only=ON")


async def make_writable(core: Core) -> None:
    """Let the database be written again."""
    pragma(core, "query_only=OFF")


FAULTS = {"full": (make_full, make_roomy), "read-only": (make_read_only, make_writable)}


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_log_no_session_but_off_works(tmp_path: Path, fault: str) -> None:
    """While the log cannot be written nothing opens and no state changes, access can be cut, and then all goes on."""
    begin, end = FAULTS[fault]
    async with open_core(tmp_path / "controller.db") as core:
        actor, machine = await core.actor(), await core.machine()
        await core.connect(machine)
        live = await core.grant(actor, machine)
        core.clock.advance(1)
        waiting = (await core.sessions.request(actor, session_request())).id
        granted = machine.say(core.granted())
        await begin(core)
        sizes = [len(await core.log(log_id)) for log_id in (machine.customer_id, OPERATOR_LOG)]
        sent = len(core.channels.sent)
        for attempt in (
            core.sessions.request(actor, session_request()),
            core.dials.dial(actor, DialRequest(endpoint=machine.name)),
            core.reports.accept(machine.endpoint_id, [granted]),
            core.accounts.login("ada@example.test", "correct horse battery", actor.source),
            core.customers.add("Other Ltd"),
            core.enrolment.invite("acme-pbx2", "Acme Dental", address="a:1"),
        ):
            with pytest.raises(StoreUnavailableError) as caught:
                await attempt
            assert caught.value.code is ProblemCode.LOG_UNAVAILABLE
        assert (len(core.channels.sent), core.relay.issued) == (sent, [])
        with pytest.raises(StoreUnavailableError):
            await core.sessions.close(actor, live)
        assert live in core.relay.cuts
        assert [message.reason for message in core.channels.of_type("end_session")] == [Reason.CLOSED_BY_ENGINEER]
        states = [(await core.sessions.view(actor, session_id)).state for session_id in (live, waiting)]
        assert states == [SessionState.GRANTED, SessionState.REQUESTED]
        assert [len(await core.log(log_id)) for log_id in (machine.customer_id, OPERATOR_LOG)] == sizes
        await end(core)
        assert await core.reports.accept(machine.endpoint_id, [granted]) == 2
        assert (await core.sessions.view(actor, waiting)).state is SessionState.GRANTED
        await core.log(machine.customer_id)


async def test_lost_endpoints_are_cut_even_if_that_cannot_be_logged(tmp_path: Path) -> None:
    """The relay is cut before the sweeper logs; what could not be logged is logged by a later sweep."""
    async with open_core(tmp_path / "controller.db") as core:
        actor, machine = await core.actor(), await core.machine()
        answer = await core.connect(machine)
        live = await core.grant(actor, machine)
        await core.disconnect(machine, answer)
        core.clock.advance(30)
        await make_read_only(core)
        with pytest.raises(StoreUnavailableError):
            await core.sweeper.step()
        assert core.relay.cuts == [live]
        await make_writable(core)
        await core.sweeper.step()
        assert (await core.sessions.view(actor, live)).state is SessionState.LOST


async def test_nothing_is_taken_twice_after_a_crash_between_commit_and_answer(tmp_path: Path) -> None:
    """A report that was committed but not acknowledged, since the controller died, is ignored when it comes again."""
    async with open_core(tmp_path / "controller.db") as core:
        actor, machine = await core.actor(), await core.machine()
        await core.connect(machine)
        live = await core.grant(actor, machine)
        connected = machine.say(events.SessionConnected(session_id=live, connections=1))
        await core.reports.accept(machine.endpoint_id, [connected])
        # The one after the crash: nothing of what was in memory is left.
        again = make_core(core.path, core.store, core.clock)
        answer = await again.reports.hello(machine.endpoint_id, machine.hello(live), actor.source)
        assert answer.welcome.acknowledged == 2
        assert await again.reports.accept(machine.endpoint_id, [connected]) == 2
        async with core.store.read() as tx:
            entries = await tx.logs.entries(machine.customer_id, start=0, limit=100)
        assert [entry.type for entry in entries].count("session.connected") == 1


async def test_damage_stops_the_start(site: LogSite) -> None:
    """A log that lost its last entry is named at the start."""
    await site.create()
    site.start(tasks=1, each=5).communicate(timeout=60)
    store = await Store.open(site.database)
    with store._writing.engine.begin() as connection:
        connection.execute(text("DELETE FROM log_entries WHERE entry_index = 5"))
    await store.close()
    with pytest.raises(LogDamagedError, match="log operator is damaged: its last entry is not number 5"):
        await site.verify()


async def test_sweeps_and_reports_do_not_wait_for_each_other_for_ever(tmp_path: Path) -> None:
    """Everything at once on one database: reports, requests, closes and sweeps come to an end, and all is logged."""
    async with open_core(tmp_path / "controller.db") as core:
        actor = await core.actor()
        machines = [await core.machine(f"acme-pbx{number}") for number in range(4)]
        for machine in machines:
            await core.connect(machine)

        async def work(machine: Machine) -> None:
            for _ in range(5):
                view = await core.sessions.request(actor, session_request(machine.name))
                await core.report(machine, events.SessionAsked(session_id=view.id))
                await asyncio.gather(core.sweeper.step(), core.sessions.close(actor, view.id))

        async with asyncio.timeout(60):
            await asyncio.gather(*(work(machine) for machine in machines))
        assert (await core.types(machines[0].customer_id)).count("session.withdrawn") == 20
