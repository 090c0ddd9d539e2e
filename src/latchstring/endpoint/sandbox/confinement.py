"""Starts sandboxes whole: with their limits, and with what appears later hidden. Nothing of one that fails is left."""

import asyncio
import itertools
import resource
from typing import Final

from latchstring.endpoint.sandbox.control_group import ControlGroup, Limits, current_hierarchies
from latchstring.endpoint.sandbox.errors import SandboxUnavailableError
from latchstring.endpoint.sandbox.late_masks import LateMasks
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.spec import SandboxSpec
from latchstring.endpoint.tasks import Tasks

_REMOVALS: Final = (0.01, 0.1, 1.0, 10.0)
"""Seconds between attempts to remove a group; what is left then is removed at the agent's next start."""
_DESCRIPTORS: Final = 1024
"""Of a session's process, until it asks for more, as everywhere."""
_NAMES: Final = {"memory": "memory", "cpu": "cpus"}


class Confinement:
    """Starts sandboxes of one kind after another; those that run stay as they were started."""

    def __init__(self) -> None:
        self._late_for = SandboxSpec()
        self._late = LateMasks(self._late_for)
        self._numbers = itertools.count(1)
        self._tasks = Tasks()

    async def start(self, spec: SandboxSpec, limits: Limits) -> Sandbox:
        """Start a sandbox.

        Raises:
            SandboxError: this machine cannot confine a session so; the text says why.
            OSError: the kernel refuses.
        """
        if spec != self._late_for:
            self._late, self._late_for = LateMasks(spec), spec
        group = ControlGroup.create(f"{spec.label}-{next(self._numbers)}", limits, current_hierarchies())
        try:
            _require_kept(group)
            sandbox = await self._late.start(lambda: Sandbox.start(spec, join=lambda pid: _limit(pid, group, limits)))
        except BaseException:
            self._tasks.start(_remove(group), name="end of a control group")
            raise
        sandbox.kill_also(group.kill)
        self._tasks.start(_remove_after(sandbox, group), name="end of a control group")
        return sandbox


def _require_kept(group: ControlGroup) -> None:
    unkept = [_NAMES[controller] for controller in group.missing if controller in _NAMES]
    if unkept:
        raise SandboxUnavailableError(
            f"the policy's [limits] {' and '.join(unkept)} cannot be kept here: that takes an agent that is root, "
            "and control groups"
        )


def _limit(pid: int, group: ControlGroup, limits: Limits) -> None:
    """Limit a sandbox by its first process."""
    _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(_DESCRIPTORS, most), most))  # the agent's own are more
    if "pids" in group.missing and limits.processes is not None:
        # Of the account, and in a user namespace of its own, so of the sandbox alone. It does not bind root.
        resource.prlimit(pid, resource.RLIMIT_NPROC, (limits.processes, limits.processes))
    group.add(pid)


async def _remove_after(sandbox: Sandbox, group: ControlGroup) -> None:
    await sandbox.wait_reaped()
    await _remove(group)


async def _remove(group: ControlGroup) -> None:
    for seconds in _REMOVALS:
        if group.remove():
            return
        await asyncio.sleep(seconds)
