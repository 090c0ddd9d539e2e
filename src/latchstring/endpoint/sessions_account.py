"""The account of the sessions' processes, and what the customer should know about it at the agent's start."""

import os

from latchstring.endpoint.data_directory import DataDirectory
from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.sandbox.account import Account, resolve_account
from latchstring.endpoint.sandbox.errors import SandboxUnavailableError
from latchstring.endpoint.sandbox.writable import find_writable_ancestor


def sessions_account(policy: Policy) -> Account:
    """Return the account of the sessions' processes: whose the policy says, else the agent's own, unless that is root.

    Raises:
        SandboxUnavailableError: there is none, so that no session can be opened.
    """
    if policy.run_as is None and os.geteuid() == 0:
        raise SandboxUnavailableError(
            'the policy does not say whose account sessions run as: put `run_as = "NAME"` into it, an account that '
            'nothing else on this machine trusts ("root" only if you mean it)'
        )
    return resolve_account(policy.run_as)


def known_sessions_account(policy: Policy) -> Account | None:
    """Return the account of the sessions' processes, or None."""
    try:
        return sessions_account(policy)
    except SandboxUnavailableError:
        return None


def account_warning(account: Account, directory: DataDirectory) -> str | None:
    """Return in one line what is dangerous about the sessions' account; None if nothing is."""
    if account.uid == 0:
        return (
            f"sessions run as root, so the promises about the switch and the kill do not hold against an engineer; "
            f'give them an account of their own with `run_as = "NAME"` in {directory.policy}'
        )
    writable = find_writable_ancestor(directory.path, account)
    if writable is None:
        return None
    return (
        f"sessions run as {account.name}, who can write to {writable} and so move the data directory {directory.path} "
        f"away; keep it where only root can write, or give sessions another account with run_as in {directory.policy}"
    )
