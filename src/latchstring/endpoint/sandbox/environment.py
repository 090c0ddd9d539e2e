"""The environment of a session's processes: what a login sets, and what an engineer may add. Nothing of the agent's."""

import os
import re
from collections.abc import Mapping
from typing import Final

from latchstring.endpoint.sandbox.account import Account

MAX_REQUESTED: Final = 32
MAX_VALUE_CHARACTERS: Final = 1024

_PATH_OF_ROOT: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PATH_OF_USERS: Final = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
_REQUESTABLE: Final = re.compile(r"TERM|LANG|LC_[A-Z]{1,32}")
_INHERITED: Final = re.compile(r"LANG|LC_[A-Z]{1,32}")


def session_environment(
    account: Account, requested: Mapping[str, str], agent: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the environment for a child that runs as ``account``.

    Args:
        account: gives ``HOME``, ``USER``, ``LOGNAME``, ``SHELL`` and ``PATH``.
        requested: what the engineer's client asked for; only ``TERM``, ``LANG`` and ``LC_*`` are taken.
        agent: the agent's own environment; only its locale is taken.
    """
    locale = {name: value for name, value in agent.items() if _INHERITED.fullmatch(name)}
    taken = {name: value for name, value in list(requested.items())[:MAX_REQUESTED] if _acceptable(name, value)}
    login = {
        "HOME": account.home,
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": account.shell,
        "PATH": _PATH_OF_ROOT if account.uid == 0 else _PATH_OF_USERS,
    }
    return {**locale, **taken, **login}


def _acceptable(name: str, value: str) -> bool:
    return _REQUESTABLE.fullmatch(name) is not None and len(value) <= MAX_VALUE_CHARACTERS and value.isprintable()
