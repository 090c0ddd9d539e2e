"""Reading the customer's policy (``policy.toml``). Without the file everything is at its default."""

import os
import stat
from pathlib import Path
from typing import Any

from latchstring.endpoint.errors import SettingsFileError
from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.toml_file import read_document, read_toml


def read_policy(path: Path) -> Policy:
    """Return the policy in the file at ``path``.

    Raises:
        SettingsFileError: it cannot be read or meant. Nobody is let in by a policy that nobody understood.
    """
    return read_toml(path, Policy)


def read_own_policy(path: Path) -> Policy:
    """Return the policy that the agent obeys: in a file that nobody but root and the agent's account can change.

    Raises:
        SettingsFileError: as :func:`read_policy`; or somebody else could change it.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return Policy()
    except OSError as error:
        raise SettingsFileError(f"{path} cannot be read: {error.strerror}") from error
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingsFileError(f"{path} can be changed by others; let it belong to root, and say chmod go-w {path}")
    return read_policy(path)


def read_policy_document(path: Path) -> dict[str, Any]:
    """Return what the file says, whatever that means; nothing if it cannot be read."""
    try:
        return read_document(path)[1]
    except SettingsFileError:
        return {}
