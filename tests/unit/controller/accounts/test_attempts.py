"""The limits of failed sign-ins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.controller.accounts.attempts import (
    MAX_FOR_ACCOUNT,
    MAX_FOR_SOURCE,
    WINDOW_SECONDS,
    FailedAttempts,
    Hearing,
)


def heard(attempts: FailedAttempts, email: str, source: str, now: float) -> bool:
    """Return whether an attempt is heard."""
    return attempts.begin(email, source, now) is Hearing.HEARD


def test_account_is_blocked_from_anywhere() -> None:
    """After ten failures nobody is heard for this account, from any address, and others are."""
    attempts = FailedAttempts()
    for number in range(MAX_FOR_ACCOUNT):
        assert heard(attempts, "a@example.test", f"192.0.2.{number}", 0)
    assert attempts.begin("a@example.test", "198.51.100.1", 1) is Hearing.BLOCKED
    assert attempts.begin("a@example.test", "198.51.100.1", 2) is Hearing.BLOCKED_AGAIN
    assert heard(attempts, "b@example.test", "198.51.100.1", 3)


@pytest.mark.parametrize(
    ("sources", "other"),
    [
        (["192.0.2.1"], "192.0.2.2"),
        (["192.0.2.1", "::ffff:192.0.2.1"], "192.0.2.2"),
        (["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::1"], "2001:db8:0:1::1"),
    ],
)
def test_source_is_blocked_for_any_account(sources: list[str], other: str) -> None:
    """After thirty failures a source is not heard; all addresses of one site count as one source."""
    attempts = FailedAttempts()
    for number in range(MAX_FOR_SOURCE):
        assert heard(attempts, f"{number}@example.test", sources[number % len(sources)], 0)
    assert not heard(attempts, "new@example.test", sources[-1], 1)
    assert heard(attempts, "new@example.test", other, 1)


def test_window_slides() -> None:
    """An account is heard again as its oldest failures leave the window."""
    attempts = FailedAttempts()
    for number in range(MAX_FOR_ACCOUNT):
        assert heard(attempts, "a@example.test", "192.0.2.1", number)
    assert not heard(attempts, "a@example.test", "192.0.2.1", WINDOW_SECONDS - 1)
    assert heard(attempts, "a@example.test", "192.0.2.1", WINDOW_SECONDS)
    assert attempts.begin("a@example.test", "192.0.2.1", WINDOW_SECONDS) is Hearing.BLOCKED


def test_success_is_no_failure() -> None:
    """Signing in is taken back from both counts."""
    attempts = FailedAttempts()
    for _ in range(MAX_FOR_SOURCE * 2):
        assert heard(attempts, "a@example.test", "192.0.2.1", 0)
        attempts.succeeded("a@example.test", "192.0.2.1")


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 250)), max_size=200))
def test_memory_is_bounded(tries: list[tuple[int, int]]) -> None:
    """However many names and addresses are tried, only so many are remembered."""
    attempts = FailedAttempts(max_keys=20)
    for now, (name, host) in enumerate(tries):
        attempts.begin(f"{name}@example.test", f"192.0.2.{host}", now)
        assert len(attempts._failures) <= 20


def test_stranger_does_not_lock_a_usual_source_out() -> None:
    """Where an account was signed in to before, strangers' failures do not block it; its own limit there stays."""
    attempts = FailedAttempts()
    assert heard(attempts, "a@example.test", "2001:db8::1", 0)
    attempts.succeeded("a@example.test", "2001:db8::1")
    for number in range(MAX_FOR_ACCOUNT):
        assert heard(attempts, "a@example.test", f"192.0.2.{number}", 1)
    assert not heard(attempts, "a@example.test", "192.0.2.200", 2)
    for _ in range(MAX_FOR_SOURCE):
        assert heard(attempts, "a@example.test", "2001:db8::2", 3)
    assert not heard(attempts, "a@example.test", "2001:db8::2", 4)


def test_usual_source_gives_a_stranger_nothing() -> None:
    """A sign-in at a usual source leaves strangers blocked, and makes it usual for no other account."""
    attempts = FailedAttempts()
    for email in ("a@example.test", "b@example.test"):
        for number in range(MAX_FOR_ACCOUNT):
            if (email, number) == ("a@example.test", 0):
                assert heard(attempts, email, "198.51.100.1", 0)
                attempts.succeeded(email, "198.51.100.1")
            assert heard(attempts, email, f"192.0.2.{number}", 0)
    assert heard(attempts, "a@example.test", "198.51.100.1", 1)
    attempts.succeeded("a@example.test", "198.51.100.1")
    assert not heard(attempts, "a@example.test", "192.0.2.200", 2)
    assert not heard(attempts, "b@example.test", "198.51.100.1", 2)


def test_usual_sources_are_bounded() -> None:
    """Of too many usual sources the one whose last sign-in is longest ago is forgotten."""
    attempts = FailedAttempts(max_usual_sources=2)
    for host in (1, 2, 3):
        assert heard(attempts, "a@example.test", f"198.51.100.{host}", 0)
        attempts.succeeded("a@example.test", f"198.51.100.{host}")
    for number in range(MAX_FOR_ACCOUNT):
        assert heard(attempts, "a@example.test", f"192.0.2.{number}", 1)
    assert [heard(attempts, "a@example.test", f"198.51.100.{host}", 2) for host in (1, 2, 3)] == [False, True, True]
