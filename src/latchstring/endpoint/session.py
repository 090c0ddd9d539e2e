"""A live session: its grant, its sandbox, its connections, and its end.

A session is live from the moment that its grant is in the journal until :meth:`LiveSession.cut`. The cut is one step
without a wait, so that a switch can cut twenty sessions before the first of them is waited for.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from latchstring.endpoint.channel_budget import ChannelBudget
from latchstring.endpoint.clock import Clock
from latchstring.endpoint.journal.journal import Journal
from latchstring.endpoint.policy.change import Running, what_is_left
from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.recorder import JournalChannelRecorder
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.service_connection import connect_directly
from latchstring.endpoint.ssh.ports import ChannelRefusal, LiveConnection, RefusedError, Service
from latchstring.protocol.endings import HAPPENINGS, Reason
from latchstring.protocol.endpoint_events import SessionConnected, SessionDisconnected, SessionEnded, SessionNarrowed
from latchstring.protocol.grants import Grant
from latchstring.protocol.session_state import LIVE, Happening, SessionState, next_state

_GOODBYE_SECONDS: Final = 1.0
"""How long the record of an ending waits for its connections, so that their channels' ends come before it."""

_SAME_TIME_SECONDS: Final = 1.0
"""A deadline that moves by less is not worth an entry in the log."""


class SessionEndedError(Exception):
    """The session has ended."""


class TooManyConnectionsError(Exception):
    """The session had too many connections in a short time."""


class EndListener(Protocol):
    """Wants to know that a session was cut."""

    def __call__(self, session: "LiveSession", /) -> None:
        """Take note. Must not wait."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended."""

    session_id: str
    state: SessionState
    reason: Reason
    processes_left: int
    seconds: float


class LiveSession:
    """A session that was granted. Satisfies ``SessionAccess`` of ``endpoint.ssh.ports``.

    Args:
        grant: what the customer consented to.
        sandbox: started; nobody has been in it yet.
        policy: under which it was granted.
        asked: whether a person said yes to it.
        journal: where everything is recorded.
        clock: the session's deadline is on its monotonic side.
        budget: how many channels and connections it may open.
        on_cut: told once, when the session is cut.
    """

    def __init__(
        self,
        grant: Grant,
        sandbox: Sandbox,
        policy: Policy,
        *,
        asked: bool,
        journal: Journal,
        clock: Clock,
        budget: ChannelBudget,
        on_cut: EndListener,
    ) -> None:
        self._grant = grant
        self._digest = grant.digest()
        self._sandbox = sandbox
        self._policy = policy
        self._asked = asked
        self._capabilities = frozenset(grant.capabilities)
        self._used: set[str] = set()
        """What has been authorised, and so may be in use."""
        self._journal = journal
        self._clock = clock
        self._budget = budget
        self._on_cut = on_cut
        self._recorder = JournalChannelRecorder(grant.session_id, journal)
        self._connections: set[LiveConnection] = set()
        self._alone = asyncio.Event()
        self._alone.set()
        self._state = SessionState.GRANTED
        self._reason: Reason | None = None
        self._ending: asyncio.Task[Ending] | None = None
        self.granted_at: Final[datetime] = clock.now()
        self.deadline = clock.monotonic() + grant.duration_seconds
        self._live_since: Final[float] = clock.monotonic()
        self._idle_since = clock.monotonic()

    @property
    def grant(self) -> Grant:
        """What the customer consented to."""
        return self._grant

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What of its grant it may use."""
        return tuple(sorted(self._capabilities))

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self._grant.session_id

    @property
    def sandbox(self) -> Sandbox:
        """The session's sandbox."""
        return self._sandbox

    @property
    def services(self) -> Mapping[str, Service]:
        """The services that the policy named when the session was granted."""
        return self._policy.services

    @property
    def recorder(self) -> JournalChannelRecorder:
        """Where the session's channels are recorded."""
        return self._recorder

    @property
    def state(self) -> SessionState:
        """Where the session stands; after its cut, where it stood before."""
        return self._state

    @property
    def is_live(self) -> bool:
        """Whether the session may be used, now: not cut, and not past its deadline."""
        return self._reason is None and self._state in LIVE and self._clock.monotonic() < self.deadline

    @property
    def connections(self) -> int:
        """How many SSH connections there are."""
        return len(self._connections)

    @property
    def expires_at(self) -> datetime:
        """The deadline on the wall clock, for people."""
        return self._clock.now() + timedelta(seconds=self.deadline - self._clock.monotonic())

    def idle_deadline(self, idle_timeout: float) -> float | None:
        """Return when it will have been without a connection for ``idle_timeout`` seconds; None if it has one."""
        return None if self._connections else self._idle_since + idle_timeout

    def authorise(self, capability: str) -> None:
        """Decide, now, whether the session may use ``capability``.

        Raises:
            RefusedError: it may not.
        """
        if not self.is_live:
            raise RefusedError(ChannelRefusal.NOT_GRANTED, "the session has ended")
        if capability in self._capabilities:
            self._used.add(capability)
            return
        if capability in self._grant.capabilities:
            raise RefusedError(ChannelRefusal.POLICY, f"the customer's policy does not allow {capability} any more")
        raise RefusedError(ChannelRefusal.NOT_GRANTED, f"this session was not granted {capability}")

    async def connect(self, service: Service) -> int:
        """Return the descriptor of a connection to a service.

        It is made in the sandbox, as its account; unless the sandbox has no way to the machine's network, which a
        service with an address of its own is named for all the same.

        Raises:
            OSError, SandboxError: it does not answer.
        """
        if self._policy.network == "host" or service.every_port:
            return await self._sandbox.connect(service.host, service.port)
        return await connect_directly(service)

    def may_open(self) -> bool:
        """Count one more channel or connection, and return whether it may be."""
        return self._budget.take()

    def obey(self, policy: Policy) -> None:
        """End, or give up what a policy does not give, at once."""
        if self._reason is not None:
            return
        now = self._clock.monotonic()
        running = Running(
            grant=self._grant,
            policy=self._policy,
            capabilities=self._capabilities,
            used=frozenset(self._used),
            asked=self._asked,
            seconds=now - self._live_since,
        )
        left = what_is_left(policy, running, self._clock.now())
        if left is None:
            self.cut(Reason.POLICY_CHANGED)
        elif left.capabilities != self._capabilities or now + left.seconds_left < self.deadline - _SAME_TIME_SECONDS:
            self._capabilities = left.capabilities
            self.deadline = min(self.deadline, now + left.seconds_left)
            self._journal.record(
                SessionNarrowed(
                    session_id=self.session_id,
                    capabilities=tuple(sorted(left.capabilities)),
                    seconds_left=max(0, int(self.deadline - now)),
                )
            )

    async def connected(self, connection: LiveConnection) -> None:
        """Take note of a connection that proved itself, durably before this returns.

        Raises:
            SessionEndedError: the session has ended; the connection has been cut.
            TooManyConnectionsError: there were too many in a short time.
            JournalUnavailableError: it cannot be recorded, so it must not begin.
        """
        if not self.is_live:
            raise SessionEndedError("the session has ended")
        if not self.may_open():
            raise TooManyConnectionsError("too many connections in a short time")
        self._connections.add(connection)
        self._alone.clear()
        event = SessionConnected(session_id=self.session_id, connections=len(self._connections))
        try:
            await self._journal.append(event)
        except BaseException:
            self._forget(connection)
            raise
        if self._reason is not None:
            self._forget(connection)
            raise SessionEndedError("the session has ended")
        if self._state is not SessionState.CONNECTED:
            self._state = next_state(self._state, Happening.CONNECT)

    async def disconnected(self, connection: LiveConnection) -> None:
        """Take note that a connection is gone, with all its channels."""
        if connection not in self._connections:
            return
        self._forget(connection)
        self._journal.record(SessionDisconnected(session_id=self.session_id, connections=len(self._connections)))

    def cut(self, reason: Reason) -> "asyncio.Task[Ending]":
        """End the session at once, for ``reason`` unless it has been cut already. The task ends with the proof.

        Nothing here waits: when this returns the kill is on its way, every connection is cut, and the session may not
        be used any more.
        """
        if self._ending is None:
            self._reason = reason
            self._sandbox.kill_now()
            for connection in tuple(self._connections):
                connection.cut()
            self._ending = asyncio.create_task(self._finish(reason), name=f"end of {self.session_id}")
            self._on_cut(self)
        return self._ending

    async def _finish(self, reason: Reason) -> Ending:
        report = await self._sandbox.kill()
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._alone.wait()
        except TimeoutError:
            pass  # a connection's own clean-up is no reason to keep the end of the session from the log
        state = next_state(self._state, HAPPENINGS[reason])
        self._journal.record(
            SessionEnded(
                session_id=self.session_id,
                state=state,
                reason=reason,
                processes_left=report.processes_left,
                kill_milliseconds=round(report.seconds * 1000),
            )
        )
        return Ending(self.session_id, state, reason, report.processes_left, report.seconds)

    def _forget(self, connection: LiveConnection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._alone.set()
            self._idle_since = self._clock.monotonic()
            if self._state is SessionState.CONNECTED:
                self._state = next_state(self._state, Happening.DISCONNECT)
