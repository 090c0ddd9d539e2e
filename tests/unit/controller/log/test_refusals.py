"""Refusals leave so many entries, and the rest is counted."""

import pytest

from controller_parts import SOURCE, Core
from latchstring.controller.errors import StoreUnavailableError
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.controller.log.refusals import (
    ENTRY_BURST,
    ENTRY_BURST_OF_ALL,
    SECONDS_PER_ENTRY,
    WINDOW_SECONDS,
    Refusal,
)
from latchstring.protocol.events import (
    EndpointEnrolmentRefused,
    EnrolmentFailure,
    LoginFailed,
    LoginFailure,
    PermissionDenied,
    RefusalsCounted,
)

ADA, BOB = "acc-aaaaaaaaaaaaaaaa", "acc-bbbbbbbbbbbbbbbb"
BURST = int(ENTRY_BURST)


def stranger(source: str = SOURCE) -> EndpointEnrolmentRefused:
    """A stranger's enrolment is refused."""
    return EndpointEnrolmentRefused(endpoint_id=None, source=source, failure=EnrolmentFailure.UNKNOWN_CODE)


def denied(account_id: str, source: str = SOURCE) -> PermissionDenied:
    """An account is refused."""
    return PermissionDenied(account_id=account_id, source=source, operation="list_logs")


async def record(core: Core, refusal: Refusal, times: int = 1) -> int:
    """Refuse so many times, and return how many left an entry."""
    return sum([await core.dependencies.refusals.record(OPERATOR_LOG, refusal) for _ in range(times)])


async def counted(core: Core) -> list[tuple[str, str | None, int]]:
    """Return the counts that are in the log."""
    found = [entry.event for entry in await core.log(OPERATOR_LOG)]
    return [(event.refused, event.account_id, event.count) for event in found if isinstance(event, RefusalsCounted)]


async def test_a_source_has_a_burst_and_then_one_in_a_while(core: Core) -> None:
    """A source leaves a burst of entries, then one for each interval; another source is not held up."""
    assert await record(core, stranger(), 100) == BURST
    core.clock.advance(SECONDS_PER_ENTRY)
    assert await record(core, stranger(), 5) == 1
    assert await record(core, stranger("198.51.100.1"), 5) == 5
    assert (await core.types(OPERATOR_LOG)).count("endpoint.enrolment_refused") == BURST + 6


async def test_addresses_of_one_site_are_one_source(core: Core) -> None:
    """Whoever has an IPv6 network to choose addresses from gains nothing by it."""
    written = [await record(core, stranger(f"2001:db8::{number:x}")) for number in range(1, 2 * BURST)]
    assert sum(written) == BURST


async def test_many_sources_have_a_limit_together(core: Core) -> None:
    """From however many addresses strangers come, their entries are bounded, and every refusal is accounted for."""
    sources = [f"198.51.100.{number}" for number in range(100)]
    written = sum([await record(core, stranger(source), 10) for source in sources])
    assert written == int(ENTRY_BURST_OF_ALL)
    await core.dependencies.refusals.close()
    assert await counted(core) == [("endpoint.enrolment_refused", None, 1000 - written)]


async def test_an_account_is_limited_wherever_it_asks_from(core: Core) -> None:
    """An account's refusals are bounded by account, and hold up neither others nor other kinds."""
    written = [await record(core, denied(ADA, f"192.0.2.{number}")) for number in range(100)]
    assert sum(written) == BURST
    assert await record(core, denied(BOB), 3) == 3
    assert await record(core, stranger(), 3) == 3


async def test_a_failed_sign_in_costs_its_source(core: Core) -> None:
    """Of failed sign-ins a source leaves as many entries whether there is the account or not, so neither shows."""
    failed = [
        LoginFailed(account_id=account_id, source=SOURCE, failure=LoginFailure.WRONG_PASSWORD)
        for account_id in (None, ADA, BOB)
    ]
    written = [await record(core, failed[number % 3]) for number in range(BURST + 40)]
    assert written == [1] * BURST + [0] * 40
    await core.dependencies.refusals.close()
    counts = {account_id: number for _, account_id, number in await counted(core)}
    assert sum(counts.values()) == 40
    assert counts.keys() == {None, ADA, BOB}


async def test_counts_are_logged_when_their_window_closes(core: Core) -> None:
    """A count is logged once, when it is as old as a window, by the sweep; what comes later begins another."""
    await record(core, denied(ADA), BURST + 7)
    core.clock.advance(WINDOW_SECONDS - 1)
    await core.sweeper.step()
    assert await counted(core) == []
    core.clock.advance(1)
    await core.sweeper.step()
    await core.sweeper.step()
    assert await counted(core) == [("permission.denied", ADA, 7)]
    core.clock.advance(SECONDS_PER_ENTRY * BURST)
    await record(core, denied(ADA), BURST + 2)
    core.clock.advance(WINDOW_SECONDS)
    await core.sweeper.step()
    assert await counted(core) == [("permission.denied", ADA, 7), ("permission.denied", ADA, 2)]


async def test_more_counts_than_an_append_takes(core: Core) -> None:
    """However many accounts have counts, all are logged."""
    accounts = [f"acc-{number:016d}".translate(str.maketrans("0189", "abcd")) for number in range(300)]
    for account_id in accounts:
        core.dependencies.refusals.count(denied(account_id))
    await core.dependencies.refusals.close()
    assert len(await counted(core)) == 300


def writable(core: Core, answer: str) -> None:
    """Let the database be written, or not, as on a file system that turns read-only."""
    with core.store._writing.engine.connect() as connection:
        connection.connection.cursor().execute(f"PRAGMA query_only={answer}")


async def test_counts_survive_a_log_that_cannot_be_written(core: Core) -> None:
    """While the log cannot be written a count is kept, and it is logged once that is over."""
    core.dependencies.refusals.count(denied(ADA))
    writable(core, "ON")
    with pytest.raises(StoreUnavailableError):
        await core.dependencies.refusals.close()
    writable(core, "OFF")
    await core.dependencies.refusals.close()
    assert await counted(core) == [("permission.denied", ADA, 1)]
