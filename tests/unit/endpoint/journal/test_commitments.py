"""Commitments: bound to every character, told apart by their salts, and never in a repr."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.endpoint.journal.commitments import (
    MAX_DETAIL_CHARACTERS,
    Opening,
    OpeningError,
    commit,
    verify_opening,
)


@given(st.text(), st.text())
def test_an_opening_opens_its_own_commitment_only(detail: str, other: str) -> None:
    """The detail and the salt are both bound."""
    opening = commit(detail, os.urandom)
    verify_opening(opening, opening.commitment())
    for wrong in (commit(other, os.urandom), commit(detail, os.urandom)):
        with pytest.raises(OpeningError):
            verify_opening(wrong, opening.commitment())
    with pytest.raises(OpeningError):
        verify_opening(opening, "")


@given(st.binary(max_size=40))
def test_any_bytes_can_be_committed_to(raw: bytes) -> None:
    """A command line that is no text has a commitment all the same."""
    opening = commit(raw.decode("utf-8", "surrogateescape"), os.urandom)
    verify_opening(opening, opening.commitment())


def test_bounded_and_unprintable() -> None:
    """What is too long is cut, and nothing of it shows by accident."""
    whole = "secret" + "x" * 2 * MAX_DETAIL_CHARACTERS
    opening = commit(whole, os.urandom)
    digest = hashlib.sha256(whole.encode()).hexdigest()
    assert opening.detail == f"{whole[:MAX_DETAIL_CHARACTERS]}… ({len(whole)} bytes, SHA-256 {digest})"
    assert commit(whole, os.urandom, limit=3).detail.startswith("sec… (")
    assert commit("x" * MAX_DETAIL_CHARACTERS, os.urandom).detail == "x" * MAX_DETAIL_CHARACTERS
    assert "secret" not in repr(opening)
    assert repr(Opening(b"s", "d")) == "Opening()"
