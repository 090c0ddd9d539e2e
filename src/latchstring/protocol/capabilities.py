"""What a session may do: a closed set of capabilities.

``shell``, ``exec``, ``sftp_read``, ``sftp_write`` and ``forward:<service>``, where the service is a name that the
customer's own policy maps to an address. A capability is carried as its text.
"""

import re
from typing import Annotated, Final

from pydantic import AfterValidator

SHELL: Final = "shell"
EXEC: Final = "exec"
SFTP_READ: Final = "sftp_read"
SFTP_WRITE: Final = "sftp_write"
FORWARD_PREFIX: Final = "forward:"
PLAIN: Final = (SHELL, EXEC, SFTP_READ, SFTP_WRITE)
MAX_CAPABILITIES: Final = 32

_SERVICE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,30}[a-z0-9])?")


def parse_capability(text: str) -> str:
    """Return ``text`` if it names a capability.

    Raises:
        ValueError: it names none; the message lists those that exist.
    """
    if text in PLAIN:
        return text
    if text.startswith(FORWARD_PREFIX) and _SERVICE_NAME.fullmatch(text.removeprefix(FORWARD_PREFIX)):
        return text
    known = ", ".join((*PLAIN, "forward:NAME"))
    raise ValueError(f"{text[:60]!r} is not a capability; use one of {known}")


def parse_service_name(text: str) -> str:
    """Return ``text`` if it can name a service of a policy (1 to 32 of ``a-z 0-9 _ -``).

    Raises:
        ValueError: it cannot.
    """
    if _SERVICE_NAME.fullmatch(text):
        return text
    raise ValueError(f"{text[:60]!r} is not a service name; use 1 to 32 of a-z, 0-9, '-' and '_'")


def forward(service: str) -> str:
    """Return the capability to forward to the policy's service of this name."""
    return FORWARD_PREFIX + service


def normalise(capabilities: tuple[str, ...]) -> tuple[str, ...]:
    """Sort and deduplicate, so that equal sets of capabilities have equal bytes.

    Raises:
        ValueError: there are none, or more than :data:`MAX_CAPABILITIES`.
    """
    distinct = tuple(sorted(set(capabilities)))
    if not distinct:
        raise ValueError("a session needs at least one capability")
    if len(distinct) > MAX_CAPABILITIES:
        raise ValueError(f"a session can have at most {MAX_CAPABILITIES} capabilities")
    return distinct


Capability = Annotated[str, AfterValidator(parse_capability)]
"""The text of one capability, validated."""

Capabilities = Annotated[tuple[Capability, ...], AfterValidator(normalise)]
"""A sorted, non-empty set of capabilities, validated."""
