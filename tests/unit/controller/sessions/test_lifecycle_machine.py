"""Whatever people, endpoints and time do, in any order: states follow the table, and the log has every change once."""

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller_parts import Core, Machine, open_core, session_request
from latchstring.certs.ssh_public_key import fingerprint_of
from latchstring.controller.accounts.actor import Actor
from latchstring.controller.sessions.reports import HelloAnswer
from latchstring.protocol import events
from latchstring.protocol.api import DialRequest
from latchstring.protocol.endings import Reason
from latchstring.protocol.grants import grant_from_offer
from latchstring.protocol.problems import ProblemError
from latchstring.protocol.session_state import ENDED, TRANSITIONS, SessionState
from latchstring.protocol.statements import SignedStatement

CHANGING = {
    "session.asked",
    "session.granted",
    "session.refused",
    "session.connected",
    "session.disconnected",
    "session.ended",
    "session.withdrawn",
    "session.lapsed",
    "session.lost",
}

_Result = TypeVar("_Result")
pick = st.integers(min_value=0, max_value=3)


class SessionMachine(RuleBasedStateMachine):
    """Up to four sessions of one engineer at one endpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.folder = tempfile.TemporaryDirectory()
        self.states: dict[str, SessionState] = {}
        self.logged = 0
        self.last: list[SignedStatement] = []

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run to the end."""
        return self.loop.run_until_complete(work)

    @initialize()
    def start(self) -> None:
        """Connect an endpoint."""
        self.core: Core = self.run(self.stack.enter_async_context(open_core(Path(self.folder.name) / "controller.db")))
        self.actor: Actor = self.run(self.core.actor())
        self.admin: Actor = self.run(self.core.actor(events.Role.ADMIN, "root@example.test"))
        self.machine: Machine = self.run(self.core.machine())
        self.answer: HelloAnswer | None = self.run(self.core.connect(self.machine))
        self.logged = len(self.run(self.core.log(self.machine.customer_id)))

    def teardown(self) -> None:
        """Close the database."""
        self.run(self.stack.aclose())
        self.loop.close()
        self.folder.cleanup()

    def chosen(self, number: int) -> str:
        """Return one of the sessions."""
        known = list(self.states)
        return known[number % len(known)]

    def report(self, event: Any) -> None:
        """Report an event, whether it makes sense or not."""
        self.last = [self.machine.say(event)]
        self.run(self.core.reports.accept(self.machine.endpoint_id, self.last))

    @precondition(lambda self: len(self.states) < 4)
    @rule()
    def request(self) -> None:
        """The engineer asks."""
        try:
            view = self.run(self.core.sessions.request(self.actor, session_request()))
        except ProblemError:
            assert self.answer is None
            return
        self.states[view.id] = view.state

    @precondition(lambda self: self.states)
    @rule(number=pick, honest=st.booleans())
    def granted(self, number: int, honest: bool) -> None:  # noqa: FBT001 - drawn
        """The customer says yes, to this offer or to something else."""
        session_id = self.chosen(number)
        self.report(self.run(self.grant_of(session_id, honest=honest)))

    async def grant_of(self, session_id: str, *, honest: bool) -> events.SessionGranted:
        """Return the yes to a session's offer."""
        async with self.core.store.read() as tx:
            session = await tx.sessions.by_id(session_id)
        assert session is not None
        offer = session.offer()
        answer = grant_from_offer(offer, capabilities=offer.capabilities, duration_seconds=offer.duration_seconds)
        return events.SessionGranted(
            session_id=session_id,
            grant_digest=answer.digest() if honest else "0" * 64,
            engineer_key=fingerprint_of(offer.ssh_public_key),
            capabilities=answer.capabilities,
            duration_seconds=answer.duration_seconds,
            decided_by=events.DecidedBy.POLICY,
        )

    @precondition(lambda self: self.states)
    @rule(
        number=pick,
        make=st.sampled_from(
            [
                lambda s: events.SessionAsked(session_id=s),
                lambda s: events.SessionRefused(session_id=s, reason=Reason.POLICY, decided_by=events.DecidedBy.POLICY),
                lambda s: events.SessionConnected(session_id=s, connections=1),
                lambda s: events.SessionDisconnected(session_id=s, connections=0),
            ]
        ),
    )
    def reported(self, number: int, make: Any) -> None:
        """The endpoint reports something, in whatever state."""
        self.report(make(self.chosen(number)))

    @precondition(lambda self: self.states)
    @rule(number=pick, reason=st.sampled_from(Reason))
    def ended(self, number: int, reason: Reason) -> None:
        """The endpoint reports an end, for whatever reason."""
        self.report(
            events.SessionEnded(
                session_id=self.chosen(number),
                state=SessionState.CLOSED,
                reason=reason,
                processes_left=0,
                kill_milliseconds=1,
            )
        )

    @precondition(lambda self: self.last)
    @rule()
    def replayed(self) -> None:
        """The last report comes again."""
        self.run(self.core.reports.accept(self.machine.endpoint_id, self.last))

    @precondition(lambda self: self.states)
    @rule(number=pick, by_admin=st.booleans())
    def closed(self, number: int, by_admin: bool) -> None:  # noqa: FBT001 - drawn
        """Somebody at the vendor's ends it."""
        actor = self.admin if by_admin else self.actor
        self.run(self.core.sessions.close(actor, self.chosen(number)))

    @rule()
    def dialled(self) -> None:
        """The engineer's SSH client connects, if it may."""
        live = [state for state in self.states.values() if state not in ENDED]
        try:
            self.run(self.core.dials.dial(self.actor, DialRequest(endpoint=self.machine.name)))
        except ProblemError:
            return
        assert live

    @rule(seconds=st.sampled_from([1, 26, 300, 700, 4000]))
    def time_passes(self, seconds: int) -> None:
        """Time passes, and the sweeper looks."""
        self.core.clock.advance(seconds)
        self.run(self.core.sweeper.step())

    @rule(claim=st.booleans())
    def connection_changes(self, claim: bool) -> None:  # noqa: FBT001 - drawn
        """The endpoint goes, or comes back with or without its sessions."""
        if self.answer is not None:
            self.run(self.core.disconnect(self.machine, self.answer))
            self.answer = None
        else:
            claimed = tuple(self.states) if claim else ()
            self.answer = self.run(self.core.connect(self.machine, *claimed))

    @invariant()
    def states_follow_the_table(self) -> None:
        """Each change is one step in the table, and has one entry; an end has its time and its reason."""
        if not hasattr(self, "answer"):
            return
        entries = self.run(self.core.log(self.machine.customer_id))
        fresh = [entry.event for entry in entries[self.logged :]]
        self.logged = len(entries)
        for session_id, before in self.states.items():
            view = self.run(self.core.sessions.view(self.actor, session_id))
            if view.state is not before:
                assert view.state in TRANSITIONS[before].values()
                said = [event.type for event in fresh if getattr(event, "session_id", None) == session_id]
                assert len(CHANGING.intersection(said)) == 1
                assert len([kind for kind in said if kind in CHANGING]) == 1
            assert (view.state in ENDED) == (view.ended_at is not None) == (view.reason is not None)
            self.states[session_id] = view.state


TestSessionMachine = SessionMachine.TestCase
TestSessionMachine.settings = settings(
    max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
