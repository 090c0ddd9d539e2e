"""Where an account could replace what leads to a path."""

import os
import stat
from pathlib import Path

from latchstring.endpoint.sandbox.account import Account


def find_writable_ancestor(path: Path, account: Account) -> Path | None:
    """Return the nearest directory above ``path`` in which the account can replace what leads to ``path``.

    In a sticky directory it can only if it owns the entry or the directory. Access control lists are not looked at.
    """
    entry = path
    for parent in path.parents:
        status = parent.stat()
        if _can_write(status, account) and (
            not status.st_mode & stat.S_ISVTX or account.uid in (status.st_uid, entry.stat().st_uid)
        ):
            return parent
        entry = parent
    return None


def _can_write(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return True  # the owner of a directory can always give itself the permission
    if status.st_gid in (account.gid, *account.groups):
        return bool(status.st_mode & stat.S_IWGRP)
    return bool(status.st_mode & stat.S_IWOTH)
