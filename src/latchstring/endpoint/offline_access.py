"""The switch without a working agent: moved by its file alone, and ``off`` also ends an agent that does not answer."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from latchstring.endpoint.access_file import Setting
from latchstring.endpoint.agent_process import find_agent, kill_agent
from latchstring.endpoint.clock import Clock, read_boot_id
from latchstring.endpoint.data_directory import DataDirectory
from latchstring.endpoint.errors import DataDirectoryInUseError, EndpointError, UnreachableError
from latchstring.endpoint.local.client import FIRST_REPLY_SECONDS, AgentHangsError, AgentNotRunningError, ask
from latchstring.endpoint.local.messages import AccessAnswer, SetAccess
from latchstring.endpoint.policy.reading import read_policy
from latchstring.endpoint.switch import Switch
from latchstring.protocol.access import AccessMode

_KILL_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class SwitchMoved:
    """What became of it: where the switch stands, and whether an agent had to be killed for it."""

    answer: AccessAnswer
    agent_killed: bool = False


def read_access(directory: DataDirectory, clock: Clock) -> Setting:
    """Return where the switch stands, from its file."""
    return Switch(directory, clock, boot_id=read_boot_id()).setting


def move_access(
    directory: DataDirectory,
    clock: Clock,
    request: SetAccess,
    *,
    progress: Callable[[str], None],
    asked: socket.socket | None = None,
) -> SwitchMoved:
    """Move the switch: through the agent if one answers, else by its file.

    Args:
        directory: the endpoint's.
        clock: of this machine.
        request: where to.
        progress: told what the agent says meanwhile.
        asked: a connection on which the agent was already told; ours from now on.

    Raises:
        EndpointError: it was not done. For ``off`` that means that the file could not be removed; the text says so.
    """
    if request.mode is AccessMode.OFF:
        return _turn_off(directory, clock, request, progress, asked)
    try:
        return SwitchMoved(ask(directory.socket, request, AccessAnswer, progress=progress))
    except AgentNotRunningError:
        return SwitchMoved(_open(directory, clock, request))


def _open(directory: DataDirectory, clock: Clock, request: SetAccess) -> AccessAnswer:
    seconds, then = read_policy(directory.policy).time_for(request.mode, request.seconds)
    try:
        with directory.lock():
            switch = Switch(directory, clock, boot_id=read_boot_id())
            setting = switch.move(request.mode, seconds=seconds, then=then)
    except DataDirectoryInUseError as error:
        raise UnreachableError("the agent is starting or stopping; try again in a moment") from error
    except OSError as error:
        raise EndpointError(f"the switch cannot be kept on the disk: {error.strerror}; nothing changed") from error
    return _answer(setting)


def _turn_off(
    directory: DataDirectory,
    clock: Clock,
    request: SetAccess,
    progress: Callable[[str], None],
    asked: socket.socket | None,
) -> SwitchMoved:
    answer = _ask_agent(directory, request, progress, asked)
    if answer is not None:
        return SwitchMoved(answer)
    note: str | None = None
    switch = Switch(directory, clock, boot_id=read_boot_id())
    try:
        switch.move(AccessMode.OFF, seconds=request.seconds)
    except OSError as error:
        note = f"the disk refused: {error.strerror}"
    agent = find_agent(directory.lock_file)
    left = 0 if agent is None else kill_agent(agent, wait_seconds=_KILL_SECONDS)
    setting = read_access(directory, clock)
    if setting.mode is not AccessMode.OFF:
        raise EndpointError(f"{note}; no session is open, but remove {directory.access} before the agent starts again")
    update = {"processes_left": left, "note": note}
    return SwitchMoved(_answer(setting).model_copy(update=update), agent_killed=agent is not None)


def _ask_agent(
    directory: DataDirectory, request: SetAccess, progress: Callable[[str], None], asked: socket.socket | None
) -> AccessAnswer | None:
    """Ask the agent to turn off; None if there is none, or none that answers in time."""
    deadline = time.monotonic() + FIRST_REPLY_SECONDS
    while True:
        try:
            return ask(
                directory.socket,
                request,
                AccessAnswer,
                first_reply_seconds=FIRST_REPLY_SECONDS,
                progress=progress,
                asked=asked,
            )
        except AgentHangsError:
            return None
        except AgentNotRunningError:
            asked = None
            # One that is starting or stopping has the lock and no socket: it gets the same second.
            if find_agent(directory.lock_file) is None or time.monotonic() >= deadline:
                return None
            time.sleep(_AGAIN_SECONDS)


def _answer(setting: Setting) -> AccessAnswer:
    return AccessAnswer(access=setting.mode, until=setting.until, then=setting.following)
