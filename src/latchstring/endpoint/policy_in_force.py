"""The policy in force in a running agent, and how an edit of its file gets there.

A policy that can be meant is logged first, and then obeyed. One that cannot be meant, or not be logged now, leaves the
one before in force, less what it clearly takes away (``policy.narrowing``): taking away needs nobody's leave.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from latchstring.endpoint.errors import JournalUnavailableError, SettingsFileError
from latchstring.endpoint.journal.journal import Journal
from latchstring.endpoint.policy.narrowing import clearly_narrowed
from latchstring.endpoint.policy.reading import read_own_policy, read_policy_document
from latchstring.endpoint.policy.schema import Policy
from latchstring.protocol.canonical_json import canonical_json
from latchstring.protocol.endpoint_events import PolicyChanged, PolicyRefused

By = Literal["customer_cli", "file"]

_log = logging.getLogger(__name__)


class PolicyInForce:
    """The policy of one agent.

    Args:
        path: of the policy's file.
        policy: as it was read at the agent's start.
        journal: where each change is recorded first.
        obey: makes another policy take effect, at once.
    """

    def __init__(self, path: Path, policy: Policy, journal: Journal, obey: Callable[[Policy], None]) -> None:
        self.policy = policy
        self.problem: str | None = None
        """Why the file's newest contents are not in force; None if they are."""
        self._path = path
        self._journal = journal
        self._obey = obey
        self._turn = asyncio.Lock()

    async def reload(self, *, by: By) -> bool:
        """Read the file again; return whether another policy is in force now.

        Raises:
            SettingsFileError: it cannot be meant.
            JournalUnavailableError: the change cannot be logged now.
        """
        async with self._turn:  # who reads first must not be the last to be obeyed
            before = self.policy
            try:
                while (policy := read_own_policy(self._path)) != self.policy:
                    await self._journal.append(PolicyChanged(policy=digest(policy), before=digest(self.policy), by=by))
                    self._adopt(policy)
            except (SettingsFileError, JournalUnavailableError) as error:
                self._refuse(error)
                raise
            self.problem = None
            return self.policy != before

    def _refuse(self, error: Exception) -> None:
        self.problem = str(error)
        narrowed = self._adopt(clearly_narrowed(self.policy, read_policy_document(self._path)))
        self._journal.record(PolicyRefused(policy=digest(self.policy)))
        rest = "what it takes away is in force, the rest is not" if narrowed else "the policy before stays in force"
        _log.warning("the policy was changed, but %s; %s", error, rest)

    def _adopt(self, policy: Policy) -> bool:
        if policy == self.policy:
            return False
        self.policy = policy
        self._obey(policy)
        _log.info("another policy is in force")
        return True


def digest(policy: Policy) -> str:
    """Return the SHA-256 of the policy's canonical JSON, in lower-case hex."""
    return hashlib.sha256(canonical_json(policy.model_dump(mode="json"))).hexdigest()
