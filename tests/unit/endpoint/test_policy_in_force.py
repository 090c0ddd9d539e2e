"""A change of policy in a running agent: logged, obeyed at once, and never wider than what can be meant."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from endpoint_parts import House, make_house, session_id
from latchstring.endpoint.errors import JournalUnavailableError, SettingsFileError
from latchstring.endpoint.policy.schema import Policy, Ruling
from latchstring.endpoint.policy_in_force import PolicyInForce, digest
from latchstring.protocol.access import AccessMode
from latchstring.protocol.endings import Reason
from latchstring.protocol.events import PolicyChanged, SessionEnded, SessionNarrowed, SessionRefused


class Changing(House):
    """A house whose policy is in a file."""

    policy: PolicyInForce

    @property
    def file(self) -> Path:
        """The policy's file."""
        return self.directory.policy

    async def say(self, text: str) -> bool:
        """Write another policy, and have it read."""
        self.file.write_text(text)
        return await self.policy.reload(by="file")

    def last(self, kind: type[Any]) -> Any:
        """Return the newest event of a kind in the journal."""
        return [event for event in self.events() if isinstance(event, kind)][-1]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Changing]:
    """A house with the default policy, and no file yet."""
    async with make_house(tmp_path) as made:
        made.__class__ = Changing
        assert isinstance(made, Changing)
        made.policy = PolicyInForce(made.file, Policy(), made.journal, made.lifecycle.obey)
        yield made


async def opened(house: Changing, number: int = 0) -> str:
    """Open a session without a question."""
    house.mode = AccessMode.ON
    await house.offered(number)
    assert session_id(number) in house.lifecycle.sessions
    return session_id(number)


async def test_a_change_is_logged_with_both_digests(house: Changing) -> None:
    """The journal says what is in force and what was; the same again changes and logs nothing."""
    assert await house.say("max_sessions = 3")
    changed = house.last(PolicyChanged)
    assert (changed.policy, changed.before) == (digest(house.policy.policy), digest(Policy()))
    assert house.policy.policy.max_sessions == 3
    assert not await house.say("max_sessions = 3  # still")
    assert house.types().count("policy.changed") == 1


async def test_who_writes_last_is_obeyed(house: Changing) -> None:
    """A file that changes while an earlier change is being logged is obeyed in the end, whoever read it when."""
    house.file.write_text("[capabilities]\nshell = 'grant'")
    earlier = asyncio.create_task(house.policy.reload(by="file"))
    await asyncio.sleep(0)
    await house.say("[capabilities]\nshell = 'refuse'")
    await earlier
    assert house.policy.policy.ruling("shell") is Ruling.REFUSE
    assert house.policy.problem is None


async def test_a_session_loses_what_it_has_not_used(house: Changing) -> None:
    """What is refused now is gone at once, and the log says what is left."""
    live = house.lifecycle.sessions.find(await opened(house))
    assert live is not None
    await house.say("longest_session = '10m'\n[capabilities]\nshell = 'refuse'")
    await house.journal.flush(5)
    narrowed = house.last(SessionNarrowed)
    assert (narrowed.capabilities, narrowed.seconds_left) == (("exec",), 600)
    assert live.capabilities == ("exec",)
    assert live.is_live
    with pytest.raises(Exception, match="any more"):
        live.authorise("shell")
    house.clock.elapsed += 601
    house.lifecycle.enforce_times()
    await house.lifecycle.settle()
    await house.journal.flush(5)
    assert house.last(SessionEnded).reason is Reason.DEADLINE


@pytest.mark.parametrize(
    "text",
    ["engineers = ['bob@example.test']", "run_as = 'nobody'", "content_paths = ['/srv/calls']", "network = 'none'"],
)
async def test_a_session_that_does_not_fit_ends(house: Changing, text: str) -> None:
    """What cannot be taken from a running sandbox ends the session, for the policy's sake."""
    await opened(house)
    await house.say(text)
    await house.lifecycle.settle()
    await house.journal.flush(5)
    assert house.last(SessionEnded).reason is Reason.POLICY_CHANGED
    assert house.sandboxes[0].kills


async def test_requests_that_do_not_fit_are_refused(house: Changing) -> None:
    """A waiting request is refused with the reason, or waits on with less to be had."""
    await house.offered(0)
    await house.offered(1, purpose="support_request", ticket="SUP-1")
    await house.say("purposes = ['support_request']\n[capabilities]\nshell = 'refuse'")
    await house.journal.flush(5)
    assert house.last(SessionRefused).reason is Reason.PURPOSE_NOT_ACCEPTED
    (waiting,) = house.lifecycle.requests.shown()
    assert waiting.allowed.capabilities == ("exec",)
    live = await house.lifecycle.approve(waiting.session_id, capabilities=None, duration_seconds=None)
    assert live.capabilities == ("exec",)


async def test_outside_the_window_it_says_when_it_opens(house: Changing) -> None:
    """A refusal names the next opening, in the customer's time."""
    await house.say("timezone = 'Europe/Berlin'\n[[windows]]\ndays = ['mon']\nfrom = '08:00'\nto = '18:00'")
    await house.offered()
    refused = house.last(SessionRefused)
    assert (refused.reason, refused.opens) == (Reason.OUTSIDE_WINDOW, "Mon 08:00 Europe/Berlin")


async def test_too_many_sessions_end_the_newest(house: Changing) -> None:
    """With fewer sessions at once the oldest stay."""
    for number in range(3):
        await opened(house, number)
    await house.say("max_sessions = 1")
    assert house.lifecycle.sessions.ids() == (session_id(0),)


async def test_a_broken_edit_only_takes_away(house: Changing) -> None:
    """The policy before stays in force, less what the edit clearly takes; the next good one takes over."""
    await house.say("max_sessions = 5")
    live = house.lifecycle.sessions.find(await opened(house))
    assert live is not None
    with pytest.raises(SettingsFileError, match="line 1"):
        await house.say("max_session = 9\nlongest_session = '7d'\n[capabilities]\nshell = 'refuse'")
    assert "max_session" in str(house.policy.problem)
    assert live.capabilities == ("exec",)
    assert (house.policy.policy.max_sessions, house.policy.policy.longest_session) == (5, 86_400)
    await house.journal.flush(5)
    assert house.types()[-2:] == ["session.narrowed", "policy.refused"]
    assert await house.say("max_sessions = 9")
    assert house.policy.problem is None
    assert live.capabilities == ("exec",)


async def test_not_even_toml(house: Changing) -> None:
    """An edit that is no TOML changes nothing, and is told."""
    with pytest.raises(SettingsFileError, match="not TOML"):
        await house.say("access = ")
    assert house.policy.policy == Policy()


async def test_without_a_journal_nothing_gets_wider(house: Changing) -> None:
    """What cannot be logged is not obeyed, but what it takes away is."""
    await house.say("max_sessions = 5")
    house.store.broken = True
    with pytest.raises(JournalUnavailableError):
        await house.say("max_sessions = 2\nlongest_session = '7d'")
    assert house.policy.policy.max_sessions == 2
    assert house.policy.policy.longest_session == 86_400


async def test_a_grant_that_is_overtaken(house: Changing) -> None:
    """A session whose sandbox starts while the policy changes obeys the new one from its first moment."""
    house.mode = AccessMode.ON
    house.gate.clear()
    offered = asyncio.create_task(house.offered())
    await house.starting.wait()
    await house.say("run_as = 'nobody'")
    house.gate.set()
    await offered
    await house.lifecycle.settle()
    await house.journal.flush(5)
    assert house.last(SessionEnded).reason is Reason.POLICY_CHANGED
    assert not house.lifecycle.sessions.ids()
