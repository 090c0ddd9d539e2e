"""The account that a session's processes run under."""

import os
import pwd
from dataclasses import dataclass

from latchstring.endpoint.sandbox.errors import SandboxUnavailableError

_FALLBACK_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True)
class Account:
    """A row of the password database, with the groups that a login would have."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str


def resolve_account(run_as: str | None) -> Account:
    """Return the account named ``run_as``, or the agent's own for ``None``.

    Raises:
        SandboxUnavailableError: there is no such account, or the agent, not being root, cannot become it.
    """
    try:
        row = pwd.getpwuid(os.geteuid()) if run_as is None else pwd.getpwnam(run_as)
    except KeyError as error:
        who = f"uid {os.geteuid()}" if run_as is None else f"{run_as!r}"
        raise SandboxUnavailableError(
            f"there is no account {who} on this machine; create it or change run_as"
        ) from error
    if os.geteuid() not in (0, row.pw_uid):
        raise SandboxUnavailableError(
            f"the agent is not root, so sessions cannot run as {row.pw_name!r}; run the agent as root or drop run_as"
        )
    groups = os.getgrouplist(row.pw_name, row.pw_gid) if os.geteuid() == 0 else os.getgroups()
    return Account(
        name=row.pw_name,
        uid=row.pw_uid,
        gid=row.pw_gid,
        groups=tuple(sorted(set(groups))),
        home=row.pw_dir or "/",
        shell=row.pw_shell or _FALLBACK_SHELL,
    )
