"""Verification of SSH certificates. Shapes: ``ssh_profile``; errors: ``errors``.

What is parsed is not yet believed: :func:`parse_user_certificate` returns :class:`UnverifiedUserCertificate`, and only
:func:`verify_user_certificate` makes a :class:`SessionCertificate`.
"""

import hmac
import re
from dataclasses import InitVar, dataclass
from typing import Final, NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import SSHCertificate, SSHCertificateType, load_ssh_public_identity
from pydantic import TypeAdapter, ValidationError

from latchstring.certs.errors import (
    BadSignatureError,
    GrantDigestError,
    MalformedCertificateError,
    UnknownCriticalOptionError,
    UntrustedIssuerError,
    WrongRoleError,
    WrongSubjectError,
    WrongValidityError,
)
from latchstring.certs.ssh_profile import GRANT_EXTENSION, VALID_FOREVER, VALID_FROM, host_principal
from latchstring.certs.ssh_public_key import certificate_blob, certificate_line, format_public_key, parse_public_key
from latchstring.protocol.ids import EndpointId, SessionId

MAX_BLOB_BYTES: Final = 4096
"""A session certificate has about 600 bytes."""

_SESSION_ID: Final[TypeAdapter[str]] = TypeAdapter(SessionId)
_ENDPOINT_ID: Final[TypeAdapter[str]] = TypeAdapter(EndpointId)
_DIGEST: Final = re.compile(rb"[0-9a-f]{64}")
_VERIFIED: Final = object()


@dataclass(frozen=True, slots=True)
class UnverifiedUserCertificate:
    """What a certificate says of itself. Nothing of it has been checked: use it for diagnosis only."""

    key_id: bytes
    principals: tuple[bytes, ...]
    serial: int
    issuer: str
    """The public key that is said to have signed, on one line; empty if it is not an Ed25519 key."""


@dataclass(frozen=True, slots=True)
class SessionCertificate:
    """A session certificate that the user authority signed. Made by :func:`verify_user_certificate` only."""

    session_id: str
    endpoint_id: str
    public_key: str
    """The engineer's key on one line, without a comment; compare it as text."""
    grant_digest: str
    """SHA-256 of the grant, in lower-case hex; compare it with ``hmac.compare_digest``."""
    serial: int
    proof: InitVar[object]  # not a field, so that dataclasses.replace() cannot carry it over

    def __post_init__(self, proof: object) -> None:
        if proof is not _VERIFIED:
            raise TypeError("a SessionCertificate comes from verify_user_certificate only")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SessionCertificate cannot be pickled or copied")


def parse_user_certificate(blob: bytes) -> UnverifiedUserCertificate:
    """Read a certificate without believing it.

    Raises:
        MalformedCertificateError: it is not a certificate for an Ed25519 key.
    """
    certificate = _load(blob)
    issuer = certificate.signature_key()
    return UnverifiedUserCertificate(
        key_id=certificate.key_id,
        principals=tuple(certificate.valid_principals),
        serial=certificate.serial,
        issuer=format_public_key(issuer) if isinstance(issuer, Ed25519PublicKey) else "",
    )


def verify_user_certificate(blob: bytes, ca_public_key: str) -> SessionCertificate:
    """Verify a session certificate in binary form.

    1. It can be read, and certifies an Ed25519 key.
    2. Its issuer is ``ca_public_key``.
    3. The issuer's signature is good.
    4. It is a user certificate.
    5. It is valid forever, as every session certificate is.
    6. Its key id is a session id.
    7. It names exactly one principal, an endpoint id.
    8. It has no critical option: ours have none, and one that is not enforced must not be accepted.
    9. It carries the digest of a grant.

    Whether that session is live, is ours, and has that grant and key is the caller's to check.

    Args:
        blob: the certificate, as it travels in SSH.
        ca_public_key: the pinned user authority on one line.

    Raises:
        CertificateError: the subclass and its ``code`` say which step failed.
        ValueError: ``ca_public_key`` is not an Ed25519 key.
    """
    authority = parse_public_key(ca_public_key)
    certificate = _load(blob)  # 1
    _check_signed_by(certificate, authority)  # 2, 3
    _check_type(certificate, SSHCertificateType.USER)  # 4
    _check_validity(certificate)  # 5
    session_id = _subject(_SESSION_ID, certificate.key_id, "key id")  # 6
    endpoint_id = _subject(_ENDPOINT_ID, _only_principal(certificate), "principal")  # 7
    _check_no_critical_options(certificate)  # 8
    return SessionCertificate(
        session_id=session_id,
        endpoint_id=endpoint_id,
        public_key=format_public_key(certificate.public_key()),
        grant_digest=_grant_digest(certificate),  # 9
        serial=certificate.serial,
        proof=_VERIFIED,
    )


def verify_host_certificate(line: str, ca_public_key: str, *, endpoint_name: str, public_key: str) -> None:
    """Verify that a host certificate is what this endpoint asked for.

    1. It can be read, and certifies an Ed25519 key.
    2. Its issuer is ``ca_public_key``, whose signature is good.
    3. It is a host certificate, valid forever, without critical options.
    4. Its only principal is ``<endpoint_name>.latch``.
    5. It certifies ``public_key``.

    Raises:
        CertificateError: the subclass and its ``code`` say what is wrong.
        ValueError: ``ca_public_key`` or ``public_key`` is not an Ed25519 key.
    """
    authority = parse_public_key(ca_public_key)
    expected = format_public_key(parse_public_key(public_key))
    try:
        blob = certificate_blob(line)
    except ValueError as error:
        raise MalformedCertificateError(str(error)) from error
    certificate = _load(blob)  # 1
    _check_signed_by(certificate, authority)  # 2
    _check_type(certificate, SSHCertificateType.HOST)  # 3
    _check_validity(certificate)
    _check_no_critical_options(certificate)
    if _only_principal(certificate) != host_principal(endpoint_name).encode():  # 4
        raise WrongSubjectError(f"the host certificate is not for {host_principal(endpoint_name)}")
    if format_public_key(certificate.public_key()) != expected:  # 5
        raise WrongSubjectError("the host certificate is for another key than this endpoint's")


def _load(blob: bytes) -> SSHCertificate:
    if len(blob) > MAX_BLOB_BYTES:
        raise MalformedCertificateError(f"the certificate is longer than {MAX_BLOB_BYTES} bytes")
    try:
        certificate = load_ssh_public_identity(certificate_line(blob).encode())
        if isinstance(certificate, SSHCertificate):
            certificate.signature_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MalformedCertificateError("not an OpenSSH certificate for an Ed25519 key") from error
    if not isinstance(certificate, SSHCertificate) or not isinstance(certificate.public_key(), Ed25519PublicKey):
        raise MalformedCertificateError("not an OpenSSH certificate for an Ed25519 key")
    return certificate


def _check_signed_by(certificate: SSHCertificate, authority: Ed25519PublicKey) -> None:
    issuer = certificate.signature_key()
    if not isinstance(issuer, Ed25519PublicKey) or not hmac.compare_digest(
        issuer.public_bytes_raw(), authority.public_bytes_raw()
    ):
        raise UntrustedIssuerError("another authority issued the certificate")
    try:
        certificate.verify_cert_signature()
    except InvalidSignature as error:
        raise BadSignatureError("the certificate's signature is wrong") from error


def _check_type(certificate: SSHCertificate, kind: SSHCertificateType) -> None:
    if certificate.type is not kind:
        raise WrongRoleError(
            f"a {certificate.type.name.lower()} certificate stands where a {kind.name.lower()} one must"
        )


def _check_validity(certificate: SSHCertificate) -> None:
    if (certificate.valid_after, certificate.valid_before) != (VALID_FROM, VALID_FOREVER):
        raise WrongValidityError("the certificate is limited in time, which ours never are")


def _check_no_critical_options(certificate: SSHCertificate) -> None:
    if certificate.critical_options:
        raise UnknownCriticalOptionError("the certificate carries a critical option, and ours have none")


def _only_principal(certificate: SSHCertificate) -> bytes:
    principals = certificate.valid_principals
    if len(principals) != 1:
        # None at all would mean "any principal" to OpenSSH.
        raise WrongSubjectError(f"the certificate names {len(principals)} principals; it must name exactly one")
    return principals[0]


def _subject(form: TypeAdapter[str], value: bytes, what: str) -> str:
    try:
        return form.validate_python(value.decode("ascii"))
    except (UnicodeDecodeError, ValidationError) as error:
        raise WrongSubjectError(f"the certificate's {what} has not its form") from error


def _grant_digest(certificate: SSHCertificate) -> str:
    value = certificate.extensions.get(GRANT_EXTENSION, b"")
    if not _DIGEST.fullmatch(value):
        raise GrantDigestError(f"the certificate's {GRANT_EXTENSION.decode()} is absent or malformed")
    return value.decode()
