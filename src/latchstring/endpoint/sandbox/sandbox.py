"""A session's sandbox: start it, start children in it, and kill it with proof.

``bwrap`` makes the namespaces and reports their first process, which is our init. When init says that it is ready, the
kernel vouches that the message came from that very process. Only then is the sandbox started, and only then can there
be a process of the session. How a kill is proven: ``namespace``.

If the agent dies, so does the sandbox: ``--die-with-parent``, init's own death signal, and the end of file on init's
socket, whichever comes first. If it does not answer any more, init notices that it is silent. One moment of a start, in
which there is no process of the session yet, is different: see ``abandoned``.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from latchstring.endpoint.sandbox import bubblewrap, init
from latchstring.endpoint.sandbox.account import Account, resolve_account
from latchstring.endpoint.sandbox.child import Child, ChildExit
from latchstring.endpoint.sandbox.control import Control, control_pair
from latchstring.endpoint.sandbox.errors import SandboxDeadError, SandboxError, SandboxUnavailableError, SpawnError
from latchstring.endpoint.sandbox.namespace import Namespace
from latchstring.endpoint.sandbox.spec import SandboxSpec

START_SECONDS: Final = 10.0
ALIVE_SECONDS: Final = init.SILENCE_SECONDS / 8
KILL_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class KillReport:
    """What a kill achieved.

    Attributes:
        processes_left: 0 is proven by the kernel. More only if some did not die within :data:`KILL_SECONDS`, which
            takes an uninterruptible sleep.
        seconds: from the first ``kill_now`` or ``kill`` to the proof.
    """

    processes_left: int
    seconds: float


@dataclass(frozen=True, slots=True)
class OpenedTerminal:
    """A terminal of a sandbox. ``master`` and ``slave`` are descriptors, ``name`` is its path inside."""

    master: int
    slave: int
    name: str


class Sandbox:
    """A running sandbox. Made by :meth:`start`.

    Attributes:
        account: who its processes run as.
    """

    def __init__(self, account: Account, namespace: Namespace, clock: Callable[[], float]) -> None:
        self.account = account
        self._namespace = namespace
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._killed_at: float | None = None
        self._ended_at: float | None = None
        self._control: Control | None = None
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._ids = itertools.count(1)
        self._starting: dict[bytes, asyncio.Future[Child]] = {}
        self._opening: dict[bytes, asyncio.Future[OpenedTerminal]] = {}
        self._connecting: dict[bytes, asyncio.Future[int]] = {}
        self._children: dict[bytes, Child] = {}
        self._kills: list[Callable[[], None]] = []
        namespace.ended.add_done_callback(self._namespace_ended)

    @classmethod
    async def start(
        cls,
        spec: SandboxSpec,
        *,
        join: Callable[[int], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> "Sandbox":
        """Start a sandbox, which takes tens of milliseconds. If this fails or is cancelled, nothing of it is left.

        To be called in the thread of the event loop, which must live as long as the sandbox: the kernel ties
        ``--die-with-parent`` to the thread.

        Args:
            spec: what it is to be.
            join: called in a thread of its own with the pid of the first process, before there can be another.
            clock: monotonic seconds, for :class:`KillReport`.

        Raises:
            SandboxUnavailableError: this machine cannot confine a session; the text says why.
            Exception: what ``join`` raises.
        """
        account = resolve_account(spec.run_as)
        ours, theirs = control_pair()
        try:
            launched = bubblewrap.launch(account, spec, theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        sandbox = cls(account, Namespace(launched), clock)
        sandbox._control = Control(ours, on_reply=sandbox._reply, on_lost=sandbox.kill_now)
        sandbox._say_alive()
        try:
            async with asyncio.timeout(START_SECONDS):
                await sandbox._become_ready(join)
        except TimeoutError as error:
            await asyncio.shield(sandbox.kill())
            raise SandboxUnavailableError("the sandbox did not start in time") from error
        except BaseException:
            await asyncio.shield(sandbox.kill())
            raise
        return sandbox

    @property
    def is_alive(self) -> bool:
        """Whether children can be started: it has not ended, and no kill has begun."""
        return self._killed_at is None and not self._namespace.ended.done()

    @property
    def first_pid(self) -> int:
        """Its first process, in our own PID namespace."""
        return self._namespace.first_pid

    def processes(self) -> list[int]:
        """Return its living processes, in our own PID namespace, as ``/proc`` shows them now."""
        return self._namespace.processes()

    async def wait_ended(self) -> None:
        """Wait until no process of the sandbox is left, for whatever reason it ended."""
        await asyncio.shield(self._namespace.ended)

    async def open_terminal(self) -> "OpenedTerminal":
        """Open a terminal of the sandbox's own; its descriptors are the caller's to close.

        Raises:
            SandboxDeadError: the sandbox has ended or is being killed.
            SpawnError: the kernel gives no more.
        """
        if not self.is_alive or self._control is None:
            raise SandboxDeadError("the sandbox has ended")
        identifier = b"%d" % next(self._ids)
        self._control.request([b"terminal", identifier])
        opened: asyncio.Future[OpenedTerminal] = self._loop.create_future()
        self._opening[identifier] = opened
        return await opened

    async def connect(self, host: str, port: int) -> int:
        """Return the descriptor of a TCP connection that was made in the sandbox's network, by its account.

        Raises:
            SandboxDeadError: the sandbox has ended or is being killed.
            SpawnError: too much is under way.
            OSError: nobody answers.
        """
        if not self.is_alive or self._control is None:
            raise SandboxDeadError("the sandbox has ended")
        identifier = b"%d" % next(self._ids)
        self._control.request([b"connect", identifier, host.encode(), b"%d" % port])
        connecting: asyncio.Future[int] = self._loop.create_future()
        self._connecting[identifier] = connecting
        return await connecting

    async def wait_reaped(self) -> None:
        """Wait until nothing at all is left of it, ``bwrap`` included."""
        await asyncio.shield(self._namespace.reaped)

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        descriptors: tuple[int, int, int] | tuple[int],
        program: str | None = None,
        directory: str | None = None,
    ) -> Child:
        """Start a child as the sandbox's account, in a session of its own.

        Args:
            argv: its arguments, the first being its name.
            environment: all of it; see ``environment.session_environment``.
            descriptors: standard input, output and error; or one terminal, which becomes its controlling terminal.
                They are copied, and stay the caller's to close once this returns.
            program: the absolute path to execute, ``argv[0]`` by default. If it cannot be executed, the child says so
                on standard error and ends with status 126 or 127.
            directory: where it starts: the account's home by default, and ``/`` if that is not possible.

        Raises:
            SandboxDeadError: the sandbox has ended or is being killed.
            SpawnError: the request is too long, or the kernel starts no more processes.
        """
        if not self.is_alive or self._control is None:
            raise SandboxDeadError("the sandbox has ended")
        identifier = b"%d" % next(self._ids)
        words = [program or argv[0], directory or self.account.home, str(len(argv)), *argv]
        words += [f"{name}={value}" for name, value in environment.items()]
        try:
            encoded = [word.encode("utf-8", "surrogateescape") for word in words]
        except UnicodeEncodeError as error:
            raise SpawnError("the command cannot be encoded") from error
        kind = b"terminal" if len(descriptors) == 1 else b"pipes"
        self._control.request([b"spawn", identifier, kind, *encoded], descriptors)
        started: asyncio.Future[Child] = self._loop.create_future()
        self._starting[identifier] = started
        return await started

    def kill_also(self, kill: Callable[[], None]) -> None:
        """Have ``kill`` called too whenever the sandbox is killed. It must not wait, nor fail."""
        self._kills.append(kill)

    def kill_now(self) -> None:
        """Send the kill, without waiting. Does not block; safe to call twice. :meth:`kill` waits for the proof."""
        if self._killed_at is None:
            self._killed_at = self._clock()
        self._namespace.kill_now()
        for kill in self._kills:
            kill()

    async def kill(self) -> KillReport:
        """Kill everything in the sandbox and wait for the proof. May be called again, also after it has ended."""
        self.kill_now()
        killed_at = self._clock() if self._killed_at is None else self._killed_at
        try:
            async with asyncio.timeout(KILL_SECONDS):
                await self.wait_ended()
                await asyncio.shield(self._namespace.reaped)
        except TimeoutError:
            return KillReport(self._namespace.count_processes(), self._clock() - killed_at)
        # The proof may be here before the callback that notes its time has run.
        ended_at = self._clock() if self._ended_at is None else self._ended_at
        return KillReport(0, max(0.0, ended_at - killed_at))

    async def _become_ready(self, join: Callable[[int], None]) -> None:
        await asyncio.shield(self._namespace.identified)
        if self._namespace.first_pid:
            await asyncio.to_thread(
                join, self._namespace.first_pid
            )  # while init starts, since the kernel takes its time
        await asyncio.wait({self._ready, self._namespace.reaped}, return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.done():
            raise SandboxUnavailableError(f"the sandbox does not start: {self._namespace.complaint}")
        if self._control is None or self._control.peer_pid != self._namespace.first_pid:
            raise SandboxUnavailableError("the sandbox's init is not the process that bubblewrap reported")

    def _say_alive(self) -> None:
        """Tell init that this process still answers, again and again: it ends with a silent one, as with a dead one."""
        if not self.is_alive or self._control is None:
            return
        with contextlib.suppress(SandboxError):  # there is enough under way to hear us by
            self._control.request([b"alive", b""])
        self._loop.call_later(ALIVE_SECONDS, self._say_alive)

    def _reply(self, fields: list[bytes], descriptors: list[int]) -> None:
        try:
            self._take_reply(fields, descriptors)
        except (ValueError, LookupError):
            self.kill_now()  # init does not speak like that, so this is no longer our init
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _take_reply(self, fields: list[bytes], descriptors: list[int]) -> None:
        match fields:
            case [b"ready"] if not self._ready.done():
                self._ready.set_result(None)
            case [b"started", identifier, pid]:
                self._started(identifier, int(pid))
            case [b"opened", identifier, name] if len(descriptors) == 2:  # noqa: PLR2004 - master and slave
                self._opened(identifier, descriptors, name.decode())
            case [b"connected", identifier] if len(descriptors) == 1:
                connecting = self._connecting.pop(identifier)
                if not connecting.done():  # else whoever asked has gone away
                    connecting.set_result(os.dup(descriptors[0]))
            case [b"failed", identifier, number]:
                self._failed(identifier, int(number))
            case [b"exited", identifier, status, number]:
                by = int(number)
                self._children.pop(identifier).ended(ChildExit(signal=by) if by else ChildExit(status=int(status)))
            case _:
                raise ValueError("not a reply of init")

    def _started(self, identifier: bytes, pid: int) -> None:
        child = Child(pid, lambda number: self._signal(identifier, number))
        self._children[identifier] = child
        started = self._starting.pop(identifier)
        if started.done():  # whoever asked has gone away
            child.signal(signal.SIGHUP)
        else:
            started.set_result(child)

    def _failed(self, identifier: bytes, number: int) -> None:
        failure: Exception = SpawnError(f"no process can be started (error {number})")
        asked: dict[bytes, Any] = self._starting if identifier in self._starting else self._opening
        if identifier in self._connecting:
            asked, failure = self._connecting, OSError(number, os.strerror(number))
        waiting: asyncio.Future[Any] = asked.pop(identifier)
        if not waiting.done():
            waiting.set_exception(failure)

    def _opened(self, identifier: bytes, descriptors: list[int], name: str) -> None:
        opened = self._opening.pop(identifier)
        if not opened.done():  # else whoever asked has gone away
            opened.set_result(OpenedTerminal(os.dup(descriptors[0]), os.dup(descriptors[1]), name))

    def _signal(self, identifier: bytes, number: int) -> None:
        if self.is_alive and self._control is not None:
            self._control.request([b"signal", identifier, b"%d" % number])

    def _namespace_ended(self, _: "asyncio.Future[None]") -> None:
        self._ended_at = self._clock()
        if self._killed_at is None:
            self._killed_at = self._ended_at
        if self._control is not None:
            self._control.close()
        waiting: list[asyncio.Future[Any]] = [
            *self._starting.values(),
            *self._opening.values(),
            *self._connecting.values(),
        ]
        for asked in waiting:
            if not asked.done():
                asked.set_exception(SandboxDeadError("the sandbox has ended"))
        self._opening.clear()
        self._connecting.clear()
        for child in self._children.values():
            child.ended(ChildExit())
        self._starting.clear()
        self._children.clear()
