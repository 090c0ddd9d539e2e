"""Reading logs: auditors only, and never without a trace."""

import base64
import logging

import pytest
from sqlalchemy import text

from controller_parts import Core, session_request
from latchstring.controller.errors import StoreUnavailableError
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.controller.log.reader import LogReader
from latchstring.controller.log.reading import LogReading
from latchstring.protocol import events
from latchstring.protocol.checkpoint import verify_checkpoint
from latchstring.protocol.entries import parse_entry
from latchstring.protocol.events import Role
from latchstring.protocol.note_keys import parse_verifier_key
from latchstring.protocol.problems import ProblemCode, ProblemError


@pytest.fixture
def reading(core: Core) -> LogReading:
    """Return the reading side of the logs."""
    return LogReading(core.store, core.writer)


async def test_reading_is_logged_in_every_log_before_the_answer(core: Core, reading: LogReading) -> None:
    """The checkpoints that a reader gets already cover the entry that says who read."""
    auditor, machine = await core.actor(Role.AUDITOR), await core.machine()
    answer = await reading.list_logs(auditor, "verify")
    assert {log.id: log.customer for log in answer.logs} == {machine.customer_id: "Acme Dental", OPERATOR_LOG: None}
    for log in answer.logs:
        entries = await core.log(log.id)
        assert entries[-1].event == events.LogRead(
            account_id=auditor.account_id, source=auditor.source, operation="verify"
        )
        key = parse_verifier_key(log.verifier_key)
        verified = verify_checkpoint(log.checkpoint.encode(), origin=key.name, log_key=key)
        assert verified.checkpoint.size == log.size == len(entries)


async def test_reading_one_session_touches_one_log(core: Core, reading: LogReading) -> None:
    """Who reads a session leaves a trace with its id in its customer's log, and none elsewhere."""
    admin, machine = await core.actor(Role.ADMIN), await core.machine()
    await core.customers.add("Other Ltd")
    await core.connect(machine)
    session_id = (await core.sessions.request(admin, session_request())).id
    answer = await reading.list_logs(admin, "show", session_id)
    assert [log.id for log in answer.logs] == [machine.customer_id]
    entry = (await core.log(machine.customer_id))[-1]
    assert isinstance(entry.event, events.LogRead)
    assert entry.event.session_id == session_id
    assert "log.read" not in await core.types(OPERATOR_LOG)
    with pytest.raises(ProblemError) as caught:
        await reading.list_logs(admin, "show", "ses-aaaaaaaaaaaaaaaa")
    assert caught.value.code is ProblemCode.UNKNOWN_SESSION


async def test_engineers_read_nothing(core: Core, reading: LogReading) -> None:
    """Every door to the logs is closed to an engineer."""
    actor = await core.actor()
    for attempt in (
        reading.list_logs(actor, "list"),
        reading.entries(actor, OPERATOR_LOG, 0, 10),
        reading.journal_keys(actor, OPERATOR_LOG),
    ):
        with pytest.raises(ProblemError) as caught:
            await attempt
        assert caught.value.code is ProblemCode.WRONG_ROLE


async def test_pages_follow_each_other(core: Core, reading: LogReading) -> None:
    """Pages cover a log without gaps or repeats, and end at its end."""
    auditor = await core.actor(Role.AUDITOR)
    for _ in range(6):
        await core.accounts.deny(auditor, "open_session")
    seen: list[int] = []
    start: int | None = 0
    while start is not None:
        page = await reading.entries(auditor, OPERATOR_LOG, start, 3)
        for view in page.entries:
            parse_entry(base64.b64decode(view.entry))
        seen += [view.index for view in page.entries]
        start = page.next
    assert seen == list(range(9))  # two of opening and the account, six denials, and this reading
    beyond = await reading.entries(auditor, OPERATOR_LOG, 99, 3)
    assert (beyond.entries, beyond.next) == ((), None)
    with pytest.raises(ProblemError) as caught:
        await reading.entries(auditor, "cus-aaaaaaaaaaaaaaaa", 0, 3)
    assert caught.value.code is ProblemCode.NOT_FOUND


async def test_pages_are_bounded_in_bytes(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of long entries ends early, but never without an entry."""
    monkeypatch.setattr("latchstring.controller.log.reader.MAX_PAGE_BYTES", 1)
    await core.machine()
    async with core.store.read() as tx:
        page = await LogReader(tx, OPERATOR_LOG).page(0, 100)
    assert (len(page.entries), page.next) == (1, 1)


async def test_journal_keys_outlive_a_revocation(core: Core, reading: LogReading) -> None:
    """The key of an endpoint that was revoked is still there to verify what it once said."""
    auditor, machine = await core.actor(Role.AUDITOR), await core.machine()
    await core.enrolment.revoke(machine.name)
    await core.machine()
    keys = (await reading.journal_keys(auditor, machine.customer_id)).keys
    assert machine.journal.public_key().public_bytes_raw().hex() in {key.key for key in keys}
    assert len(keys) == 2


@pytest.mark.parametrize("door", ["entries", "journal_keys"])
async def test_entries_are_not_read_without_a_trace(core: Core, reading: LogReading, door: str) -> None:
    """Who skips the list is logged before the answer, once for the pages of one reading and again ten minutes later."""
    auditor, machine = await core.actor(Role.AUDITOR), await core.machine()

    async def read() -> int:
        if door == "entries":
            await reading.entries(auditor, machine.customer_id, 0, 1)
        else:
            await reading.journal_keys(auditor, machine.customer_id)
        return (await core.types(machine.customer_id)).count("log.read")

    assert [await read(), await read()] == [1, 1]
    assert (await core.log(machine.customer_id))[-1].event == events.LogRead(
        account_id=auditor.account_id, source=auditor.source, operation="list"
    )
    core.clock.advance(10 * 60)
    assert await read() == 2
    assert "log.read" not in await core.types(OPERATOR_LOG)


async def test_pages_belong_to_the_list(core: Core, reading: LogReading) -> None:
    """The entries that are read after the list make no entry of their own, another account's reading does."""
    auditor, other = await core.actor(Role.AUDITOR), await core.actor(Role.ADMIN, "bob@example.test")
    await reading.list_logs(auditor, "verify")
    await reading.entries(auditor, OPERATOR_LOG, 0, 10)
    assert (await core.types(OPERATOR_LOG)).count("log.read") == 1
    await reading.entries(other, OPERATOR_LOG, 0, 10)
    assert (await core.types(OPERATOR_LOG)).count("log.read") == 2


async def test_no_answer_without_its_trace(core: Core, reading: LogReading, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a reading cannot be logged nothing is read, and the next attempt is logged."""
    auditor = await core.actor(Role.AUDITOR)

    async def unavailable(*_arguments: object) -> None:
        raise StoreUnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(core.writer, "record", unavailable)
        for _ in range(2):
            with pytest.raises(ProblemError) as caught:
                await reading.entries(auditor, OPERATOR_LOG, 0, 10)
            assert caught.value.code is ProblemCode.LOG_UNAVAILABLE
    await reading.entries(auditor, OPERATOR_LOG, 0, 10)
    assert (await core.types(OPERATOR_LOG)).count("log.read") == 1


@pytest.mark.parametrize("start", [0, 3])
async def test_damage_is_named(core: Core, reading: LogReading, caplog: pytest.LogCaptureFixture, start: int) -> None:
    """A missing entry is told with its log and place, to the auditor and in one line to the administrator."""
    auditor = await core.actor(Role.AUDITOR)
    for _ in range(6):
        await core.accounts.deny(auditor, "open_session")
    async with core.store.write() as tx:
        await tx.logs._connection.execute(text("delete from log_entries where log_id = 'operator' and entry_index = 3"))
    with pytest.raises(ProblemError, match=r"^log operator is damaged at entry 3: ") as caught:
        await reading.entries(auditor, OPERATOR_LOG, start, 5)
    assert caught.value.code is ProblemCode.LOG_UNAVAILABLE
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == ["log operator is damaged at entry 3: it is not there"]
    assert [record.exc_info for record in caplog.records if record.levelno == logging.ERROR] == [None]
