"""The agent: wires the parts together, starts them, and stops them in order. Nothing is decided here.

Start::

    1. the data directory's lock, so that there is one agent
    2. identity, policy, journal; sessions of a run that died are closed in the journal, for they died with it
    3. the control socket, so that the customer can say off from now on
    4. the connection to the controller

Stop: sessions end first, then the journal is told, then the controller, for as long as it listens.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from latchstring import __version__
from latchstring.certs.keyfiles import KeyFileError, read_private
from latchstring.certs.signer import parse_private_key
from latchstring.endpoint.access_control import AccessControl
from latchstring.endpoint.backoff import Backoff
from latchstring.endpoint.clock import Clock, read_boot_id
from latchstring.endpoint.control_channel import ControlChannel
from latchstring.endpoint.controller_link import ControllerLink
from latchstring.endpoint.customer_commands import CustomerCommands
from latchstring.endpoint.data_directory import DataDirectory
from latchstring.endpoint.deadlines import enforce_deadlines
from latchstring.endpoint.dialler import Dialler
from latchstring.endpoint.errors import EnrolmentError, JournalUnavailableError, SettingsFileError
from latchstring.endpoint.identity import Identity, load_identity
from latchstring.endpoint.journal.journal import Journal
from latchstring.endpoint.journal.reserve import Reserve
from latchstring.endpoint.journal.store import JournalStore
from latchstring.endpoint.lifecycle import Lifecycle
from latchstring.endpoint.local.messages import StatusAnswer
from latchstring.endpoint.local.server import LocalServer
from latchstring.endpoint.policy.reading import read_own_policy
from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.policy_in_force import By as PolicyChangedBy
from latchstring.endpoint.policy_in_force import PolicyInForce
from latchstring.endpoint.proxies import Proxy, find_proxy
from latchstring.endpoint.relay_address import RelayAddress
from latchstring.endpoint.relay_ways import RelayWays
from latchstring.endpoint.relay_websockets import RelayWebSockets
from latchstring.endpoint.renewal import Renewal
from latchstring.endpoint.sandbox.remains import Remains
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandboxes import Sandboxes
from latchstring.endpoint.sessions_account import account_warning, known_sessions_account
from latchstring.endpoint.settings import Settings, read_settings
from latchstring.endpoint.ssh.identity import HostIdentity
from latchstring.endpoint.ssh_service import SshService
from latchstring.endpoint.switch import Switch
from latchstring.protocol.endings import HAPPENINGS, Reason
from latchstring.protocol.endpoint_events import AgentStarted, AgentStopped, SessionEnded
from latchstring.protocol.messages import DialFailed
from latchstring.protocol.session_state import SessionState, next_state

FLUSH_SECONDS: Final = 3.0
"""How long a stop waits for the journal, and then for the controller."""

_log = logging.getLogger(__name__)


class Agent:
    """A running agent. Made by :meth:`start` within the lock on its data directory."""

    def __init__(
        self, directory: DataDirectory, identity: Identity, policy: Policy, settings: Settings, *, clock: Clock
    ) -> None:
        self._directory = directory
        self._identity = identity
        self._settings = settings
        self._clock = clock
        self._ssh = SshService(load_host_identity(directory, identity), identity.enrolment.ssh_user_ca)
        store = JournalStore(
            directory.journal,
            endpoint_id=identity.endpoint_id,
            signer=identity.journal_signer,
            note_signer=identity.journal_note_signer(),
        )
        self._journal = Journal(store, Reserve(directory.journal_reserve), clock)
        self._switch = Switch(directory, clock, boot_id=read_boot_id())
        self._sandboxes = Sandboxes(directory)
        self._sessions_account = known_sessions_account(policy)
        self._lifecycle = Lifecycle(
            endpoint_id=identity.endpoint_id,
            customer_id=identity.enrolment.customer_id,
            policy=policy,
            mode=lambda: self._switch.mode,
            start_sandbox=self._start_sandbox,
            journal=self._journal,
            clock=clock,
        )
        self._policy = PolicyInForce(directory.policy, policy, self._journal, self._obey)
        relay = find_relay(settings, identity)
        self._relay_websockets = RelayWebSockets(identity, find_proxy=self._find_proxy, monotonic=clock.monotonic)
        self._relay_ways = RelayWays(
            relay,
            find_proxy=self._find_proxy,
            open_websocket=self._relay_websockets.open,
            monotonic=clock.monotonic,
        )
        self._dialler = Dialler(
            self._lifecycle.sessions,
            self._journal,
            relay=relay,
            connect=self._relay_ways.connect,
            serve=self._ssh.serve,
            report=self._report,
        )
        self._link = ControllerLink(
            self._lifecycle,
            self._journal,
            mode=lambda: self._switch.mode,
            dial=self._dialler.dial,
            grace_seconds=policy.controller_grace_seconds,
            clock=clock,
        )
        self._channel = ControlChannel(
            identity,
            journal=self._journal,
            renewal=Renewal(directory, identity, clock),
            user=self._link,
            clock=clock,
            backoff=Backoff(random.random),
            find_proxy=self._find_proxy,
        )
        self._access = AccessControl(
            self._switch, self._lifecycle, self._journal, clock, policy=lambda: self._policy.policy
        )
        commands = CustomerCommands(
            self._lifecycle,
            self._access,
            status=self.status,
            reload_policy=lambda: self.reload_policy(by="customer_cli"),
            connected=lambda: self._channel.connected,
            clock=clock,
        )
        self._local = LocalServer(directory.socket, commands)
        self._running: list[asyncio.Task[None]] = []
        self._connecting: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin: close what a run that died has left open, and let the customer and the controller in.

        Raises:
            EndpointError: it cannot begin.
        """
        remains = await self._sandboxes.end_remains()
        for session_id in await self._journal.unfinished():
            self._journal.record(died_with_its_agent(session_id, remains))
        await self._access.begin(self._policy.policy.access)
        self._journal.record(AgentStarted(version=__version__, access=self._switch.mode))
        self._warn_of_account()
        await self._sandboxes.test(self._policy.policy)
        await self._local.start()
        self._run(self._journal.wait_failed(), "journal")
        self._run(self._access.run(self._directory.path), "switch")
        self._run(enforce_deadlines(self._lifecycle, self._clock, self._access.look), "deadlines")
        self._connecting.append(asyncio.create_task(self._channel.run(), name="control channel"))
        await self._channel.attempted.wait()

    async def wait_failed(self) -> None:
        """Wait until a part of the agent ends, which none does by itself, and raise its fault."""
        done, _ = await asyncio.wait([*self._running, *self._connecting], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def reload_policy(self, *, by: PolicyChangedBy) -> bool:
        """Read the policy's file again; see :meth:`PolicyInForce.reload`."""
        return await self._policy.reload(by=by)

    async def stop(self) -> None:
        """End the sessions, say so, and end."""
        await _cancel(self._running)
        await self._local.close()
        await asyncio.gather(*self._lifecycle.end_all(Reason.AGENT_STOPPED))
        await self._dialler.close()
        await self._relay_websockets.close()
        await self._lifecycle.settle()
        self._link.close()
        self._journal.record(AgentStopped())
        await self._journal.flush(FLUSH_SECONDS)
        await self._tell_controller()
        await _cancel(self._connecting)
        await self._journal.close()

    def status(self) -> StatusAnswer:
        """Return how the agent is."""
        enrolment, setting, skew = self._identity.enrolment, self._switch.setting, self._channel.skew_seconds
        return StatusAnswer(
            running=True,
            endpoint=enrolment.endpoint_name,
            endpoint_id=enrolment.endpoint_id,
            customer=enrolment.customer_name,
            controller=enrolment.controller_name,
            access=setting.mode,
            access_until=setting.until,
            access_then=setting.following,
            agent_version=__version__,
            connected=self._channel.connected,
            connection_problem=self._channel.last_failure or None,
            relay_way=self._relay_ways.last,
            clock_skew_seconds=None if skew is None else round(skew),
            requests_waiting=len(self._lifecycle.requests.shown()),
            live_sessions=len(self._lifecycle.sessions),
            journal_available=self._journal.available,
            journal_size=self._journal.size,
            journal_acknowledged=self._journal.acknowledged,
            sandbox_problem=self._sandboxes.problem,
            policy_problem=self._policy.problem,
            sessions_run_as=None if self._sessions_account is None else self._sessions_account.name,
        )

    def _obey(self, policy: Policy) -> None:
        self._sessions_account = known_sessions_account(policy)
        self._link.set_grace(policy.controller_grace_seconds)
        self._lifecycle.obey(policy)

    def _warn_of_account(self) -> None:
        account = self._sessions_account
        warning = None if account is None else account_warning(account, self._directory)
        if warning is not None:
            _log.warning("%s", warning)

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._running.append(asyncio.create_task(work, name=name))

    async def _start_sandbox(self, policy: Policy) -> Sandbox:
        self._ssh.prepare()
        return await self._sandboxes.start(policy)

    def _find_proxy(self, host: str) -> Proxy | None:
        return find_proxy(self._settings.proxy, host)

    async def _report(self, message: DialFailed) -> None:
        await self._channel.send(message)

    async def _tell_controller(self) -> None:
        if self._channel.connected:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._journal.wait_acknowledged()


def find_relay(settings: Settings, identity: Identity) -> RelayAddress:
    """Return the only relay that is dialled: the customer's choice, or the one that the enrolment named."""
    if settings.relay is not None:
        return RelayAddress.parse(settings.relay)
    return RelayAddress(identity.enrolment.relay_host, identity.enrolment.relay_port)


def died_with_its_agent(session_id: str, remains: Remains) -> SessionEnded:
    """Return the end of a session whose agent died. The kernel killed its processes with it, as was looked at."""
    reason = Reason.SANDBOX_DIED
    return SessionEnded(
        session_id=session_id,
        state=next_state(SessionState.GRANTED, HAPPENINGS[reason]),
        reason=reason,
        processes_left=remains.processes_left,
        kill_milliseconds=round(remains.seconds * 1000),
    )


def load_host_identity(directory: DataDirectory, identity: Identity) -> HostIdentity:
    """Return who the SSH server is.

    Raises:
        EnrolmentError: its key is missing, damaged, or others could reach it.
    """
    try:
        key = parse_private_key(read_private(directory.ssh_host_key), directory.ssh_host_key)
    except KeyFileError as error:
        raise EnrolmentError(str(error)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise EnrolmentError(f"{directory.ssh_host_key} does not hold an Ed25519 key")
    return HostIdentity(
        endpoint_id=identity.endpoint_id,
        host_key=key,
        host_certificate=identity.enrolment.ssh_host_certificate,
    )


async def run_agent(
    directory: DataDirectory,
    *,
    clock: Clock,
    stopping: asyncio.Event,
    reloading: asyncio.Event,
    announce: Callable[[str], None],
) -> None:
    """Run the agent of a data directory, whose lock is held, until ``stopping`` is set.

    Args:
        directory: its own.
        clock: the machine's.
        stopping: set when it is to end in order.
        reloading: set when it is to read its policy again; cleared then.
        announce: told one line when it is ready.

    Raises:
        EndpointError: it cannot begin, or a part of it failed.
    """
    identity = load_identity(directory)
    policy, settings = read_own_policy(directory.policy), read_settings(directory.settings)
    agent = Agent(directory, identity, policy, settings, clock=clock)
    await agent.start()
    access, name = agent.status().access, identity.enrolment.endpoint_name
    announce(f"latch-endpoint: ready, {name}, access is {access}, controller {identity.enrolment.controller_name}")
    stop = asyncio.create_task(stopping.wait(), name="stop")
    failure = asyncio.create_task(agent.wait_failed(), name="failure")
    reloads = asyncio.create_task(_reload_policy(agent, reloading), name="reloads")
    try:
        await asyncio.wait({stop, failure, reloads}, return_when=asyncio.FIRST_COMPLETED)
        for task in (failure, reloads):
            if task.done():
                task.result()
    finally:
        await _cancel([failure, stop, reloads])
        await agent.stop()


async def _reload_policy(agent: Agent, reloading: asyncio.Event) -> None:
    while await reloading.wait():
        reloading.clear()
        with contextlib.suppress(SettingsFileError, JournalUnavailableError):  # it says so in its log and in its status
            await agent.reload_policy(by="file")


async def _cancel(tasks: "list[asyncio.Task[Any]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
