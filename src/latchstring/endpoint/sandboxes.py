"""Starts the sandboxes of sessions as the policy says, and none on a machine that cannot confine them."""

import asyncio
import logging
from pathlib import Path

from latchstring.endpoint.data_directory import DataDirectory
from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.sandbox.confinement import Confinement
from latchstring.endpoint.sandbox.control_group import Limits, current_hierarchies, remove_stale
from latchstring.endpoint.sandbox.errors import SandboxError, SandboxUnavailableError
from latchstring.endpoint.sandbox.remains import Remains, end_remains, label_of
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.self_test import self_test
from latchstring.endpoint.sandbox.spec import SandboxSpec
from latchstring.endpoint.sessions_account import sessions_account

_log = logging.getLogger(__name__)


class Sandboxes:
    """Sandboxes for one data directory, which none of them can see."""

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory
        self._tested: SandboxSpec | None = None
        self._confinement = Confinement()
        self.problem: str | None = None
        """Why no session can be confined here; None if the last test passed."""

    async def end_remains(self) -> Remains:
        """End what an agent of this data directory that died may have left, and say what is left of it."""
        label = label_of(self._directory.path)
        remains = await asyncio.to_thread(end_remains, label)
        remove_stale(label, current_hierarchies())
        return remains

    async def test(self, policy: Policy) -> None:
        """Find out whether sessions can be confined here as the policy says. They are refused while they cannot."""
        spec = self._spec(policy)
        try:
            sessions_account(policy)
            await self_test(spec)
        except (SandboxError, OSError) as error:
            self._tested = None
            self.problem = str(error)
            _log.warning("no session can be opened: %s", error)
        else:
            self._tested = spec
            self.problem = None

    async def start(self, policy: Policy) -> Sandbox:
        """Start a sandbox as the policy says.

        Raises:
            SandboxError: there is none.
        """
        spec = self._spec(policy)
        if spec != self._tested:
            await self.test(policy)
        if self.problem is not None:
            raise SandboxUnavailableError(self.problem)
        return await self._confinement.start(spec, _limits(policy))

    def _spec(self, policy: Policy) -> SandboxSpec:
        return SandboxSpec(
            run_as=policy.run_as,
            masked=(self._directory.path,),
            content=tuple(map(Path, policy.content_paths)),
            read_only=tuple(map(Path, policy.read_only_paths)),
            own_network=policy.network == "none",
            label=label_of(self._directory.path),
        )


def _limits(policy: Policy) -> Limits:
    limits = policy.limits
    return Limits(memory=limits.memory, processes=limits.processes, cpus=limits.cpus)
