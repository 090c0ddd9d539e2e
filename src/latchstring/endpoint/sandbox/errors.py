"""Why a sandbox could not do what was asked.

SandboxError
├── SandboxUnavailableError   this machine or this policy cannot confine a session; the text says what to do
├── SandboxDeadError          the sandbox has ended
└── SpawnError                one child could not be started; the sandbox lives on
"""


class SandboxError(Exception):
    """A sandbox could not do what was asked."""


class SandboxUnavailableError(SandboxError):
    """A session cannot be confined here, so none may start. One line that says why, and what to do."""


class SandboxDeadError(SandboxError):
    """The sandbox has ended, with everything in it."""


class SpawnError(SandboxError):
    """A child could not be started."""
