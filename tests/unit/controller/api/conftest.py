"""Cheap password hashes: what is tested here is the API, not argon2."""

import functools

import pytest

from controller_parts import QUICK_PASSWORDS
from latchstring.controller import administration
from latchstring.controller.accounts.passwords import Passwords
from latchstring.controller.accounts.service import AccountService


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = functools.partial(AccountService, passwords=Passwords(QUICK_PASSWORDS))
    monkeypatch.setattr(administration, "AccountService", quick)
