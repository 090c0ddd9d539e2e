"""From a certificate to the right to use a session: :func:`verify_grant`.

The SSH server accepts nothing but a :class:`VerifiedGrant`, and only :func:`verify_grant` makes one.

    GrantNotAcceptedError           code
    ├── CertificateNotAcceptedError   certificate_<code of the certificate's error>
    ├── OtherEndpointError            other_endpoint: made for another endpoint
    ├── UnknownSessionError           unknown_session: not in this endpoint's own table
    ├── SessionNotLiveError           not_live: ended, or not granted yet
    ├── KeyMismatchError              key_mismatch: not the key that the grant names
    └── GrantMismatchError            grant_mismatch: not the grant that the customer consented to
"""

import hmac
from collections.abc import Callable
from dataclasses import InitVar, dataclass
from typing import ClassVar, Final, Generic, NoReturn, Protocol, TypeVar

from latchstring.certs.errors import CertificateError
from latchstring.certs.ssh_verify import SessionCertificate, verify_user_certificate
from latchstring.protocol.grants import Grant

_VERIFIED: Final = object()


class GrantNotAcceptedError(Exception):
    """A certificate does not give the right to use a session. ``code`` is stable, for logs and events."""

    code: ClassVar[str] = "not_accepted"


class CertificateNotAcceptedError(GrantNotAcceptedError):
    """The certificate itself is no good; the cause says why."""

    def __init__(self, cause: CertificateError) -> None:
        super().__init__(str(cause))
        self.code = f"certificate_{cause.code}"  # type: ignore[misc]  # each cause has a code of its own


class OtherEndpointError(GrantNotAcceptedError):
    """It was made for another endpoint."""

    code = "other_endpoint"


class UnknownSessionError(GrantNotAcceptedError):
    """It names a session that is not in this endpoint's own table."""

    code = "unknown_session"


class SessionNotLiveError(GrantNotAcceptedError):
    """It names a session that has ended, or that was never granted."""

    code = "not_live"


class KeyMismatchError(GrantNotAcceptedError):
    """It certifies another key than the one that the grant names."""

    code = "key_mismatch"


class GrantMismatchError(GrantNotAcceptedError):
    """It carries the digest of another grant than the one that the customer consented to."""

    code = "grant_mismatch"


class GrantedSession(Protocol):
    """A row of the endpoint's own table of sessions."""

    @property
    def grant(self) -> Grant:
        """What the customer consented to."""

    @property
    def is_live(self) -> bool:
        """Whether the session has been granted and has not ended."""


Session = TypeVar("Session", bound=GrantedSession)


@dataclass(frozen=True, slots=True)
class VerifiedGrant(Generic[Session]):
    """The proof that a certificate belongs to a live session of this endpoint. Made by :func:`verify_grant` only."""

    session: Session
    public_key: str
    """The engineer's key on one line; whoever connects has yet to prove that it is theirs."""
    proof: InitVar[object]  # not a field, so that dataclasses.replace() cannot carry it over

    def __post_init__(self, proof: object) -> None:
        if proof is not _VERIFIED:
            raise TypeError("a VerifiedGrant comes from verify_grant only")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a VerifiedGrant cannot be pickled or copied")


def verify_grant(
    blob: bytes, *, user_ca: str, endpoint_id: str, find_session: Callable[[str], Session | None]
) -> VerifiedGrant[Session]:
    """Verify that a session certificate gives the right to use a session of this endpoint, now.

    1. The pinned user authority signed it, and it has the form of a session certificate.
    2. Its principal is this endpoint's id.
    3. Its key id names a session in our own table.
    4. That session is live.
    5. The table's grant is for this endpoint and this session.
    6. The certified key is the one that the grant names.
    7. Its digest is that of the very grant in the table.

    Whether the client holds the key is the SSH server's to check.

    Args:
        blob: the certificate in binary form, as a client sent it.
        user_ca: the pinned user authority on one line.
        endpoint_id: this endpoint's own id.
        find_session: looks a session up in the endpoint's table by its id.

    Raises:
        GrantNotAcceptedError: the subclass and its ``code`` say which step failed.
    """
    try:
        certificate = verify_user_certificate(blob, user_ca)  # 1
    except CertificateError as error:
        raise CertificateNotAcceptedError(error) from error
    if certificate.endpoint_id != endpoint_id:  # 2
        raise OtherEndpointError("the certificate was made for another endpoint")
    session = find_session(certificate.session_id)
    if session is None:  # 3
        raise UnknownSessionError("the certificate names a session that this endpoint does not know")
    if not session.is_live:  # 4
        raise SessionNotLiveError("the certificate names a session that is not live")
    _compare(certificate, session.grant, endpoint_id)  # 5, 6, 7
    return VerifiedGrant(session=session, public_key=certificate.public_key, proof=_VERIFIED)


def _compare(certificate: SessionCertificate, grant: Grant, endpoint_id: str) -> None:
    if (grant.session_id, grant.endpoint_id) != (certificate.session_id, endpoint_id):
        raise GrantMismatchError("the grant in the table is another session's or another endpoint's")
    if not hmac.compare_digest(certificate.public_key, grant.ssh_public_key):
        raise KeyMismatchError("the certified key is not the one that the grant names")
    if not hmac.compare_digest(certificate.grant_digest, grant.digest()):
        raise GrantMismatchError("the certificate's digest is not that of the grant that the customer consented to")
