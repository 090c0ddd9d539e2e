"""Reading the customer's policy (``policy.toml``). Without the file everything is at its default."""

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


def read_policy_document(path: Path) -> dict[str, Any]:
    """Return what the file says, whatever that means; nothing if it cannot be read."""
    try:
        return read_document(path)[1]
    except SettingsFileError:
        return {}
