"""What a sandbox is to be."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What a sandbox is to be.

    Attributes:
        run_as: the account of the session's processes, or ``None`` for the agent's own.
        masked: directories that exist, are no symbolic links and must not be seen inside, above all the agent's data
            directory. What is above them cannot be renamed from inside.
        content: directories and files whose contents must not be reached from inside, whether they exist or not.
        read_only: directories and files that cannot be changed from inside.
        own_network: whether it has no network but a loopback of its own.
        label: stands on the command line of its first process; see ``remains``.
    """

    run_as: str | None = None
    masked: tuple[Path, ...] = ()
    content: tuple[Path, ...] = ()
    read_only: tuple[Path, ...] = ()
    own_network: bool = False
    label: str = "latchstring"
