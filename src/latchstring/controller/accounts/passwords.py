"""Passwords: argon2id in threads, few at a time, and no faster for accounts that do not exist."""

import asyncio
import base64
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from latchstring.controller.errors import WeakPasswordError
from latchstring.controller.ports import Random
from latchstring.protocol.problems import ProblemCode, ProblemError

MIN_CHARACTERS: Final = 12
MAX_CHARACTERS: Final = 1024
AT_ONCE: Final = 2
"""Verifications at once: each takes 64 MiB and a core."""
MAX_WAITING: Final = 32

_MADE_BYTES: Final = 15


def make_password(random: Random) -> str:
    """Return a password of 120 random bits that is easy to type: six groups of four letters and digits."""
    text = base64.b32encode(random(_MADE_BYTES)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def require_strength(password: str) -> None:
    """Check a password that somebody chose.

    Raises:
        WeakPasswordError: it is too short, or too long.
    """
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        raise WeakPasswordError(f"a password has {MIN_CHARACTERS} to {MAX_CHARACTERS} characters")


class Passwords:
    """Hashes and verifies passwords without holding up the event loop."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._free = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._nobody = _hash_of_nobody(self._hasher)

    async def hash(self, password: str) -> str:
        """Return the argon2id hash of a password, with its parameters and salt."""
        async with self._free:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether ``password`` is the one behind ``password_hash``; never where that is None.

        Raises:
            ProblemError: ``busy``: too many verifications are waiting.
        """
        if self._waiting >= MAX_WAITING:
            raise ProblemError(ProblemCode.BUSY, "too many people are signing in at once; try again in a minute")
        self._waiting += 1
        try:
            async with self._free:
                return await asyncio.to_thread(self._verify, password_hash, password)
        finally:
            self._waiting -= 1

    def _verify(self, password_hash: str | None, password: str) -> bool:
        try:
            self._hasher.verify(password_hash or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None


def _hash_of_nobody(hasher: PasswordHasher) -> str:
    """Return a hash in the hasher's own form that no password has: verifying against it takes as long as any other."""
    salt, digest = (base64.b64encode(bytes(size)).decode().rstrip("=") for size in (hasher.salt_len, hasher.hash_len))
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${costs}${salt}${digest}"
