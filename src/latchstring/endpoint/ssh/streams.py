"""The streams between one channel and one child of the sandbox: three pipes, or one terminal."""

import os
from collections.abc import Callable, Mapping

from latchstring.endpoint.sandbox.child import Child, ChildExit
from latchstring.endpoint.sandbox.environment import session_environment
from latchstring.endpoint.sandbox.sandbox import OpenedTerminal, Sandbox
from latchstring.endpoint.ssh import terminal
from latchstring.endpoint.ssh.programs import Program
from latchstring.endpoint.ssh.pumps import Hold, InputPump, OutputPump, wide_pipe
from latchstring.endpoint.ssh.terminal import Size, TerminalRequest


class Streams:
    """Starts the child and moves its bytes.

    Attributes:
        input: what the channel receives goes in here.
        outputs: what the child writes; standard output first.
    """

    def __init__(
        self, *, channel_input: InputPump, write: Callable[[bytes], None], write_error: Callable[[bytes], None]
    ) -> None:
        self.input = channel_input
        self.outputs: list[OutputPump] = []
        self._write = write
        self._write_error = write_error
        self._terminal: OpenedTerminal | None = None

    @property
    def bytes_out(self) -> int:
        """Bytes that the child has written so far."""
        return sum(pump.count for pump in self.outputs)

    async def start_on_pipes(self, sandbox: Sandbox, program: Program, requested: Mapping[str, str]) -> Child:
        """Start ``program`` with a pipe for each standard stream.

        Raises:
            SandboxError, OSError: it could not be started.
        """
        pipes: list[int] = []
        try:
            for _ in range(3):
                pipes += wide_pipe()
            input_read, input_write, output_read, output_write, error_read, error_write = pipes
            child = await sandbox.spawn(
                program.argv,
                program=program.path,
                environment=session_environment(sandbox.account, requested),
                descriptors=(input_read, output_write, error_write),
            )
        except BaseException:
            _close_all(pipes)
            raise
        _close_all([input_read, output_write, error_write])
        self.outputs = [OutputPump(output_read, self._write), OutputPump(error_read, self._write_error)]
        self.input.open(input_write)
        return child

    async def start_on_terminal(
        self, sandbox: Sandbox, program: Program, requested: Mapping[str, str], request: TerminalRequest
    ) -> Child:
        """Start ``program`` on a new terminal.

        Raises:
            SandboxError, OSError: it could not be started.
        """
        account = sandbox.account
        opened = await sandbox.open_terminal()
        try:
            terminal.prepare(opened.master, opened.slave, request, uid=account.uid, gid=account.gid)
            environment = session_environment(account, {**requested, "TERM": request.term})
            child = await sandbox.spawn(
                program.argv,
                program=program.path,
                environment={**environment, "SSH_TTY": opened.name},
                descriptors=(opened.slave,),
            )
            for_input = os.dup(opened.master)
        except BaseException:
            os.close(opened.master)
            raise
        finally:
            os.close(opened.slave)
        self._terminal = opened
        self.outputs = [OutputPump(opened.master, self._write)]
        self.input.open(for_input)
        return child

    async def wait_finished(self, child: Child) -> ChildExit:
        """Wait until the child has ended and everything that it wrote has been moved."""
        how = await child.wait()
        for pump in self.outputs:
            await pump.ended.wait()
        return how

    def hold(self, why: Hold) -> None:
        """Do not read what the child writes."""
        for pump in self.outputs:
            pump.hold(why)

    def release(self, why: Hold) -> None:
        """Read again, if nothing else is against it."""
        for pump in self.outputs:
            pump.release(why)

    def resize(self, size: Size) -> bool:
        """Resize the terminal. Return False if there is none."""
        if self._terminal is None or self.outputs[0].ended.is_set():
            return False
        terminal.resize(self._terminal.master, size)
        return True

    def send_break(self) -> bool:
        """Send a break to the terminal. Return False if there is none."""
        if self._terminal is None or self.outputs[0].ended.is_set():
            return False
        terminal.send_break(self._terminal.master)
        return True

    def close_output(self) -> None:
        """Close the pipe of standard output: whoever writes into it gets SIGPIPE. A terminal stays as it is."""
        if self._terminal is None and self.outputs:
            self.outputs[0].stop()

    def stop(self) -> None:
        """Close everything; a terminal's processes then get SIGHUP from the kernel."""
        self.input.stop()
        for pump in self.outputs:
            pump.stop()


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
