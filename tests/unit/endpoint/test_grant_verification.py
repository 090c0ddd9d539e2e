"""``verify_grant``: every step, passed and broken."""

import copy
import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from latchstring.certs.ssh_public_key import certificate_blob
from latchstring.endpoint.grant_verification import (
    CertificateNotAcceptedError,
    GrantMismatchError,
    GrantNotAcceptedError,
    KeyMismatchError,
    OtherEndpointError,
    SessionNotLiveError,
    UnknownSessionError,
    VerifiedGrant,
    verify_grant,
)
from latchstring.protocol.grants import Grant
from ssh_endpoint import ENDPOINT_ID, SESSION_ID, Keys, make_grant

OTHER_SESSION = "ses-zzzzzzzzzzzzzzzz"
OTHER_ENDPOINT = "ept-zzzzzzzzzzzzzzzz"


@dataclass
class Row:
    """A row of the table."""

    grant: Grant
    is_live: bool = True


KEYS = Keys.make()
OTHER_KEYS = Keys.make()
GRANT = make_grant(KEYS)


def verify(certificate: str, row: Row | None) -> VerifiedGrant[Row]:
    """Verify against a table of one row, found under the usual id."""
    rows = {SESSION_ID: row}
    return verify_grant(
        certificate_blob(certificate),
        user_ca=KEYS.user_ca.public_key,
        endpoint_id=ENDPOINT_ID,
        find_session=rows.get,
    )


def test_the_very_grant_is_accepted() -> None:
    """A certificate for a live session with the consented grant gives that session and the engineer's key."""
    row = Row(GRANT)
    verified = verify(KEYS.certificate(GRANT), row)
    assert verified.session is row
    assert verified.public_key == KEYS.engineer_line


NARROWED = GRANT.model_copy(update={"duration_seconds": 60})
BREAKS: dict[str, tuple[Callable[[], str], Row | None, type[GrantNotAcceptedError], str]] = {
    "another authority": (
        lambda: OTHER_KEYS.certificate(GRANT),
        Row(GRANT),
        CertificateNotAcceptedError,
        "certificate_untrusted_issuer",
    ),
    "another endpoint": (
        lambda: KEYS.certificate(GRANT, endpoint_id=OTHER_ENDPOINT),
        Row(GRANT),
        OtherEndpointError,
        "other_endpoint",
    ),
    "a session that is not ours": (
        lambda: KEYS.certificate(GRANT, session_id=OTHER_SESSION),
        Row(GRANT),
        UnknownSessionError,
        "unknown_session",
    ),
    "a session that was never granted": (lambda: KEYS.certificate(GRANT), None, UnknownSessionError, "unknown_session"),
    "a session that has ended": (
        lambda: KEYS.certificate(GRANT),
        Row(GRANT, is_live=False),
        SessionNotLiveError,
        "not_live",
    ),
    "another key": (
        lambda: KEYS.certificate(GRANT, public_key=OTHER_KEYS.engineer_line),
        Row(GRANT),
        KeyMismatchError,
        "key_mismatch",
    ),
    "a wider grant than consented": (
        lambda: KEYS.certificate(GRANT),
        Row(NARROWED),
        GrantMismatchError,
        "grant_mismatch",
    ),
    "a digest of something else": (
        lambda: KEYS.certificate(GRANT, grant_digest="0" * 64),
        Row(GRANT),
        GrantMismatchError,
        "grant_mismatch",
    ),
    "a table that mixes sessions up": (
        lambda: KEYS.certificate(GRANT),
        Row(make_grant(KEYS, session_id=OTHER_SESSION)),
        GrantMismatchError,
        "grant_mismatch",
    ),
}


@pytest.mark.parametrize("case", BREAKS)
def test_anything_else_is_not(case: str) -> None:
    """Each broken step raises its own error with its own stable code."""
    certificate, row, error, code = BREAKS[case]
    with pytest.raises(error) as raised:
        verify(certificate(), row)
    assert type(raised.value) is error
    assert raised.value.code == code


@pytest.mark.parametrize("blob", [b"", b"\0" * 100, b"x" * 100_000], ids=["empty", "zeros", "too long"])
def test_garbage_is_malformed(blob: bytes) -> None:
    """What is no certificate raises, and the session table is not asked."""

    def find(session_id: str) -> Row | None:
        raise AssertionError(session_id)

    with pytest.raises(CertificateNotAcceptedError) as raised:
        verify_grant(blob, user_ca=KEYS.user_ca.public_key, endpoint_id=ENDPOINT_ID, find_session=find)
    assert raised.value.code == "certificate_malformed"


def test_a_verified_grant_cannot_be_made_otherwise() -> None:
    """Neither the constructor nor replacing, copying or pickling one makes a ``VerifiedGrant``."""
    verified = verify(KEYS.certificate(GRANT), Row(GRANT))
    with pytest.raises(TypeError, match="verify_grant only"):
        VerifiedGrant(session=Row(GRANT), public_key="", proof=object())
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(verified, session=Row(GRANT))  # type: ignore[call-arg]  # the misuse under test
    with pytest.raises(TypeError):
        pickle.dumps(verified)
    with pytest.raises(TypeError):
        copy.copy(verified)
