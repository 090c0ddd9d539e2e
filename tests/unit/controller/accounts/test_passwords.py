"""Passwords: verified off the loop, in the same time for nobody."""

import asyncio
import secrets

import pytest
from argon2 import PasswordHasher

from controller_parts import QUICK_PASSWORDS
from latchstring.controller.accounts import passwords
from latchstring.controller.accounts.passwords import Passwords, make_password, require_strength
from latchstring.controller.errors import WeakPasswordError
from latchstring.protocol.problems import ProblemCode, ProblemError


async def test_only_the_password_verifies() -> None:
    """The right password verifies, a wrong one, a garbled hash and no hash do not."""
    checker = Passwords(QUICK_PASSWORDS)
    stored = await checker.hash("correct horse battery")
    assert stored.startswith("$argon2id$")
    assert await checker.verify(stored, "correct horse battery")
    assert not await checker.verify(stored, "correct horse batterz")
    assert not await checker.verify("garbled", "correct horse battery")
    assert not await checker.verify(None, "")


async def test_nobody_costs_what_somebody_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no account, one verification with the same parameters is made all the same."""
    seen: list[str] = []
    genuine = PasswordHasher.verify

    def count(hasher: PasswordHasher, stored: str, password: str) -> bool:
        seen.append(stored.rpartition("$")[0].rpartition("$")[0])
        return genuine(hasher, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", count)
    checker = Passwords(QUICK_PASSWORDS)
    stored = await checker.hash("correct horse battery")
    await checker.verify(stored, "wrong")
    await checker.verify(None, "wrong")
    assert seen[0] == seen[1]


async def test_a_crowd_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """When too many wait for a verification the next is told to come back, and costs nothing."""
    monkeypatch.setattr(passwords, "MAX_WAITING", 3)
    checker = Passwords(QUICK_PASSWORDS)
    answers = await asyncio.gather(*(checker.verify(None, "wrong") for _ in range(5)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, ProblemError)]
    assert [error.code for error in refused] == [ProblemCode.BUSY] * 2
    assert answers.count(False) == 3


def test_made_passwords_are_strong_enough() -> None:
    """A password that is made passes what is asked of one that is chosen."""
    made = make_password(secrets.token_bytes)
    require_strength(made)
    assert made != make_password(secrets.token_bytes)
    for weak in ("short", "x" * 1025):
        with pytest.raises(WeakPasswordError):
            require_strength(weak)
