"""Verification of X.509 certificates: the pinned root, and the endpoint that a client certificate names.

TLS has verified a peer's chain before the application sees it; :func:`endpoint_id_of` then says who the peer is.
:func:`verify_endpoint_certificate` does the whole of it for a certificate that did not come through TLS, such as one
that an endpoint has just been given, and at a time that the caller knows.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import TypeAdapter, ValidationError

from latchstring.certs.errors import (
    BadSignatureError,
    ExpiredError,
    FingerprintMismatchError,
    MalformedCertificateError,
    NotYetValidError,
    UntrustedIssuerError,
    WrongRoleError,
    WrongSubjectError,
)
from latchstring.certs.fingerprints import format_fingerprint
from latchstring.certs.signer import Algorithm, PublicKey, algorithm_of, supported_key
from latchstring.certs.x509_parsing import PARSE_ERRORS, load_certificate
from latchstring.certs.x509_profile import ENDPOINT_URI_PREFIX
from latchstring.protocol.ids import EndpointId

_ENDPOINT_ID: Final[TypeAdapter[str]] = TypeAdapter(EndpointId)


@dataclass(frozen=True, slots=True)
class EndpointCertificate:
    """What a verified client certificate says.

    It is the endpoint id and the serial number that tell certificates apart. The fingerprint is for people: an ECDSA
    signature can be rewritten into another valid one, so the same certificate may have several.
    """

    endpoint_id: str
    serial_number: int
    fingerprint: str
    public_key: PublicKey
    not_before: datetime
    not_after: datetime


def fingerprint(certificate: x509.Certificate) -> str:
    """Return ``SHA256:<base64 without padding>`` over the certificate's DER, in the style of OpenSSH."""
    return format_fingerprint(hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest())


def verify_root(data: bytes, expected_fingerprint: str) -> x509.Certificate:
    """Return the root in ``data`` (PEM or DER) if it is the one that was pinned.

    1. It can be read.
    2. Its fingerprint is ``expected_fingerprint``, compared in constant time.
    3. It is a self-signed authority with a P-256 key.

    Raises:
        CertificateError: the subclass and its ``code`` say which step failed.
    """
    root = load_certificate(data)  # 1
    actual = fingerprint(root)  # 2
    if not hmac.compare_digest(actual.encode(), expected_fingerprint.strip().encode()):
        raise FingerprintMismatchError(f"the controller's root is {actual}, not the one that was expected")
    _check_root(root)  # 3
    return root


def endpoint_id_of(certificate: x509.Certificate | bytes) -> str:
    """Return the endpoint that a client certificate names. Its chain must have been verified already, by TLS.

    Args:
        certificate: as an object, or in DER as ``getpeercert(binary_form=True)`` gives it.

    Raises:
        MalformedCertificateError: it cannot be read.
        WrongRoleError: it is not a client certificate.
        WrongSubjectError: it does not name exactly one endpoint, in both places.
    """
    if isinstance(certificate, bytes):
        certificate = load_certificate(certificate)
    _check_client_role(certificate)
    uris = _alternative_uris(certificate)
    common_names = _common_names(certificate)
    if len(uris) != 1 or len(common_names) != 1 or uris[0] != ENDPOINT_URI_PREFIX + common_names[0]:
        raise WrongSubjectError("the client certificate does not name exactly one endpoint")
    try:
        return _ENDPOINT_ID.validate_python(common_names[0])
    except ValidationError as error:
        raise WrongSubjectError("the client certificate's endpoint id has not its form") from error


def verify_endpoint_certificate(
    certificate: x509.Certificate | bytes, *, root: x509.Certificate, now: datetime
) -> EndpointCertificate:
    """Verify a client certificate without TLS.

    1. It can be read.
    2. ``root`` is an authority, and issued it directly.
    3. It is valid at ``now``, an aware time.
    4. It is a client certificate that names exactly one endpoint.

    Revocation is not in the certificate: whether its endpoint and serial number are still welcome is the controller's
    to say.

    Raises:
        CertificateError: the subclass and its ``code`` say which step failed.
    """
    if isinstance(certificate, bytes):
        certificate = load_certificate(certificate)  # 1
    _check_root(root)  # 2
    _check_issued_by(certificate, root)
    if now < certificate.not_valid_before_utc:  # 3
        raise NotYetValidError(
            f"the certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on"
        )
    if now > certificate.not_valid_after_utc:
        raise ExpiredError(f"the certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    endpoint_id = endpoint_id_of(certificate)  # 4
    return EndpointCertificate(
        endpoint_id=endpoint_id,
        serial_number=certificate.serial_number,
        fingerprint=fingerprint(certificate),
        public_key=_public_key(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _check_root(root: x509.Certificate) -> None:
    try:
        constraints = root.extensions.get_extension_for_class(x509.BasicConstraints).value
    except PARSE_ERRORS as error:
        raise WrongRoleError("the root is not an authority") from error
    if not constraints.ca or algorithm_of(_public_key(root)) is not Algorithm.ECDSA_P256:
        raise WrongRoleError("the root is not an authority with a P-256 key")
    _check_issued_by(root, root)


def _check_issued_by(certificate: x509.Certificate, root: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(root)
    except InvalidSignature as error:
        raise BadSignatureError("the certificate is not signed by the root's key") from error
    except (TypeError, *PARSE_ERRORS) as error:
        raise UntrustedIssuerError("the certificate is not issued by the root") from error


def _public_key(certificate: x509.Certificate) -> PublicKey:
    try:
        return supported_key(certificate.public_key())
    except PARSE_ERRORS as error:
        raise WrongRoleError("the certificate's key is of a kind that we do not use") from error


def _check_client_role(certificate: x509.Certificate) -> None:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except PARSE_ERRORS as error:
        raise WrongRoleError("the certificate is not a client certificate") from error
    if list(usages) != [ExtendedKeyUsageOID.CLIENT_AUTH] or constraints.ca:
        raise WrongRoleError("the certificate is not a client certificate")


def _common_names(certificate: x509.Certificate) -> list[str]:
    try:
        return [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except PARSE_ERRORS as error:
        raise MalformedCertificateError("the certificate's subject cannot be read") from error


def _alternative_uris(certificate: x509.Certificate) -> list[str]:
    """Return the URIs among the alternative names, which must be all of them."""
    try:
        names = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except PARSE_ERRORS as error:
        raise WrongSubjectError("the client certificate names no endpoint") from error
    uris = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    if len(uris) != len(names):
        raise WrongSubjectError("the client certificate names something that is not an endpoint")
    return uris
