"""Starts the sandboxes of sessions as the policy says, and none on a machine that cannot confine them."""

import logging

from latchstring.endpoint.data_directory import DataDirectory
from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.sandbox.errors import SandboxError, SandboxUnavailableError
from latchstring.endpoint.sandbox.sandbox import Sandbox, SandboxSpec
from latchstring.endpoint.sandbox.self_test import self_test

_log = logging.getLogger(__name__)


class Sandboxes:
    """Sandboxes for one data directory, which none of them can see."""

    def __init__(self, directory: DataDirectory, policy: Policy) -> None:
        self._spec = SandboxSpec(run_as=policy.run_as, masked=(directory.path,))
        self._tested = False
        self.problem: str | None = None
        """Why no session can be confined here; None if the last test passed."""

    async def test(self) -> None:
        """Find out whether sessions can be confined here. Sessions are refused while they cannot."""
        try:
            await self_test(self._spec)
        except (SandboxError, OSError) as error:
            self._tested = False
            self.problem = str(error)
            _log.warning("no session can be opened: %s", error)
        else:
            self._tested = True
            self.problem = None

    async def start(self) -> Sandbox:
        """Start a sandbox.

        Raises:
            SandboxError: there is none.
        """
        if not self._tested:
            await self.test()
        if self.problem is not None:
            raise SandboxUnavailableError(self.problem)
        return await Sandbox.start(self._spec)
