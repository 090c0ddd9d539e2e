"""Which account a session runs under."""

import os
import pwd

import pytest

from latchstring.endpoint.sandbox.account import resolve_account
from latchstring.endpoint.sandbox.errors import SandboxUnavailableError


def test_the_agents_own_account_is_the_default() -> None:
    """Without ``run_as`` the account is the agent's own."""
    assert resolve_account(None).uid == os.geteuid()


def test_an_unknown_account_is_named() -> None:
    """A ``run_as`` that does not exist is refused by name."""
    with pytest.raises(SandboxUnavailableError, match="'no-such-account-here'"):
        resolve_account("no-such-account-here")


def test_only_root_can_become_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary agent cannot run sessions as somebody else, and says what to do."""
    monkeypatch.setattr(os, "geteuid", lambda: pwd.getpwnam("nobody").pw_uid)
    with pytest.raises(SandboxUnavailableError, match="agent is not root"):
        resolve_account("root")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads the groups of another")
def test_root_becomes_the_account_with_its_groups() -> None:
    """As root, any account can be resolved, with the groups of a login."""
    nobody = resolve_account("nobody")
    assert (nobody.name, nobody.gid in nobody.groups) == ("nobody", True)
