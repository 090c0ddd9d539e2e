"""A channel that runs a program in the sandbox: shell, exec, or SFTP."""

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import asyncssh

from latchstring.endpoint.sandbox.child import Child, ChildExit
from latchstring.endpoint.sandbox.errors import SandboxError
from latchstring.endpoint.ssh import programs
from latchstring.endpoint.ssh.channels import Channels, first_of
from latchstring.endpoint.ssh.ports import ChannelEnd, ChannelRefusal, RefusedError
from latchstring.endpoint.ssh.pumps import Hold, InputPump
from latchstring.endpoint.ssh.streams import Streams
from latchstring.endpoint.ssh.terminal import MAX_TERM_CHARACTERS, Size, TerminalRequest
from latchstring.protocol import capabilities
from latchstring.protocol.event_fields import ChannelKind, ChannelOutcome

EXIT_REFUSED: Final = 126
"""The exit status of what was refused or could not be started; the reason goes to standard error."""

_SFTP_SUBSYSTEM: Final = "sftp"
_MAX_TERMINAL_MODES: Final = 128
_FORWARDED_SIGNALS: Final = ("ABRT", "ALRM", "CONT", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "STOP")
_SIGNALS: Final = {
    name: signal.Signals[f"SIG{name}"] for name in (*_FORWARDED_SIGNALS, "TERM", "TSTP", "USR1", "USR2", "WINCH")
}


@dataclass(frozen=True, slots=True)
class _Request:
    kind: ChannelKind
    command: str | None = None


class ProcessChannel(asyncssh.SSHServerSession[bytes]):
    """One session channel. asyncssh calls its public methods in the order of RFC 4254; its course is :meth:`_run`."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._channel: asyncssh.SSHServerChannel[bytes]
        self._request: _Request | None = None
        self._terminal_request: TerminalRequest | None = None
        self._child: Child | None = None
        self._gone = asyncio.Event()
        self._streams = Streams(
            channel_input=InputPump(on_full=self._pause_input, on_drained=self._resume_input),
            write=self._write,
            write_error=self._write_error,
        )

    def connection_made(self, chan: "asyncssh.SSHServerChannel[bytes]") -> None:
        """Take the channel, once it is open."""
        self._channel = chan
        self._channels.idle(self)

    def pty_requested(self, term_type: str, term_size: Size, term_modes: Mapping[int, int]) -> bool:
        """Take note of a terminal, which is opened with the program."""
        term = term_type if term_type.isprintable() else ""
        modes = dict(list(term_modes.items())[:_MAX_TERMINAL_MODES])
        self._terminal_request = TerminalRequest(term[:MAX_TERM_CHARACTERS], term_size, modes)
        return True

    def shell_requested(self) -> bool:
        """Take note of a request for a shell."""
        self._request = _Request(ChannelKind.SHELL)
        return True

    def exec_requested(self, command: str) -> bool:
        """Take note of a request to execute a command line."""
        self._request = _Request(ChannelKind.EXEC, command)
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """Take note of a request for SFTP; there is no other subsystem."""
        self._request = _Request(ChannelKind.SFTP)
        return subsystem == _SFTP_SUBSYSTEM

    def session_started(self) -> None:
        """Begin: the client has been told that its request is taken."""
        self._channels.not_idle(self)
        if self._request is not None:
            self._channels.run(self._run(self._request))

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Hand on what the client sent; a client sends one type of data only."""
        if datatype is None:
            self._streams.input.feed(data)

    def eof_received(self) -> bool:
        """Close the program's input after the last byte, and keep the channel open for its output."""
        self._streams.input.finish()
        return True

    def output_unwanted(self) -> None:
        """Let the program find that nobody reads its output any more, as at the end of a pipe."""
        self._streams.close_output()

    def pause_writing(self) -> None:
        """Stop reading from the program: the client takes no more."""
        self._streams.hold(Hold.CHANNEL)

    def resume_writing(self) -> None:
        """Read from the program again."""
        self._streams.release(Hold.CHANNEL)

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """Resize the terminal, or the one that is yet to be opened."""
        size = (width, height, pixwidth, pixheight)
        if not self._streams.resize(size) and self._terminal_request is not None:
            self._terminal_request = replace(self._terminal_request, size=size)

    def signal_received(self, signal: str) -> None:
        """Pass a signal on to the program's process group."""
        number = _SIGNALS.get(signal)
        if self._child is not None and number is not None:
            self._child.signal(number)

    def break_received(self, msec: int) -> bool:
        """Send a break to the terminal, if there is one. A pseudo-terminal has no length of a break."""
        del msec
        return self._streams.send_break()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the channel is closed, by the client or with its connection."""
        del exc
        self._channels.not_idle(self)
        self._gone.set()

    async def _run(self, request: _Request) -> None:
        """Authorise, record, start, attend, record: in this order, so that nothing runs unrecorded."""
        try:
            program, capability = self._authorise(request)
            number = await self._channels.opened(request.kind, capability, request.command)
        except RefusedError as refusal:
            await self._channels.refused(request.kind, refusal, request.command)
            self._say_refused(f"refused: {refusal.text}")
            return
        end = ChannelEnd(ChannelOutcome.FAILED, bytes_in=0, bytes_out=0)
        try:
            end = await self._serve(program)
        except (SandboxError, OSError) as error:
            self._say_refused(f"cannot start: {error}")
        finally:
            await self._channels.closed(number, end)

    def _authorise(self, request: _Request) -> tuple[programs.Program, str]:
        """Ask policy for each capability that the request needs, once.

        Raises:
            RefusedError: it is not granted, or cannot be served.
        """
        session = self._channels.session
        account = session.sandbox.account
        if request.kind is ChannelKind.SHELL:
            session.authorise(capabilities.SHELL)
            return programs.login_shell(account), capabilities.SHELL
        if request.kind is ChannelKind.EXEC:
            session.authorise(capabilities.EXEC)
            return programs.shell_command(account, request.command or ""), capabilities.EXEC
        granted = self._granted(capabilities.SFTP_READ, capabilities.SFTP_WRITE)
        program = programs.sftp_server(
            may_read=capabilities.SFTP_READ in granted, may_write=capabilities.SFTP_WRITE in granted
        )
        return program, max(granted)  # sftp_write, if both are granted

    def _granted(self, *wanted: str) -> set[str]:
        """Return those that are granted.

        Raises:
            RefusedError: none is.
        """
        granted = set()
        refusal = RefusedError(ChannelRefusal.NOT_GRANTED, "not granted")
        for capability in wanted:
            try:
                self._channels.session.authorise(capability)
                granted.add(capability)
            except RefusedError as error:
                refusal = error
        if not granted:
            raise refusal
        return granted

    async def _serve(self, program: programs.Program) -> ChannelEnd:
        """Start the program and attend to it until it has ended or the client has gone.

        Raises:
            SandboxError, OSError: it could not be started.
        """
        try:
            self._child = await self._start(program)
            outcome, status = self._tell(await self._attend(self._child))
        finally:
            self._streams.stop()
            self._channels.detach(self._streams.input, self._streams.outputs)
        return ChannelEnd(
            outcome, bytes_in=self._streams.input.count, bytes_out=self._streams.bytes_out, exit_status=status
        )

    async def _start(self, program: programs.Program) -> Child:
        sandbox = self._channels.session.sandbox
        requested = self._channel.get_environment()
        if self._terminal_request is None:
            requested = {name: value for name, value in requested.items() if name != "TERM"}
            child = await self._streams.start_on_pipes(sandbox, program, requested)
        else:
            child = await self._streams.start_on_terminal(sandbox, program, requested, self._terminal_request)
        self._channels.attach(self._streams.input, self._streams.outputs)
        return child

    async def _attend(self, child: Child) -> ChildExit | None:
        """Wait for the program's end, with all its output, or for the client to go: then hang up (``None``)."""
        how: list[ChildExit] = []

        async def finished() -> None:
            how.append(await self._streams.wait_finished(child))

        await first_of(finished(), self._gone.wait())
        if not how:
            child.signal(signal.SIGHUP)
        return how[0] if how else None

    def _tell(self, how: ChildExit | None) -> tuple[ChannelOutcome, int | None]:
        """Tell the client how the program ended."""
        if how is None:
            return (ChannelOutcome.CUT if self._channels.was_cut else ChannelOutcome.CLOSED), None
        if how.status is not None:
            self._channel.exit(how.status)
            return ChannelOutcome.EXITED, how.status
        if how.signal is not None:
            self._channel.exit_with_signal(_signal_name(how.signal))
            return ChannelOutcome.SIGNALLED, None
        self._channel.exit_with_signal("KILL", msg="the session has ended")
        return ChannelOutcome.CUT, None

    def _say_refused(self, text: str) -> None:
        self._streams.stop()
        if not self._channel.is_closing():
            self._channel.write_stderr(f"latchstring: {text}\r\n".encode())
            self._channel.exit(EXIT_REFUSED)

    def _pause_input(self) -> None:
        self._channel.pause_reading()

    def _resume_input(self) -> None:
        self._channel.resume_reading()

    def _write(self, data: bytes) -> None:
        if not self._channel.is_closing():
            self._channel.write(data)

    def _write_error(self, data: bytes) -> None:
        if not self._channel.is_closing():
            self._channel.write_stderr(data)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return f"{number}@latchstring.dev"  # a real-time signal; local names carry a domain (RFC 4254, section 6.9)
