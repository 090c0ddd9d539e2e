"""The X.509 authority of the controller: its root, and the server and client certificates below it.

Shapes: ``x509_profile``. The time is passed in as an aware ``datetime``.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import TypeAdapter

from latchstring.certs.errors import CertificateRequestError, ExpiredError
from latchstring.certs.identity import MAX_COMMON_NAME
from latchstring.certs.signer import Signer
from latchstring.certs.signer_bridge import ecdsa_key
from latchstring.certs.x509_parsing import MAX_BYTES, PARSE_ERRORS, strict_parsing
from latchstring.certs.x509_profile import (
    BACKDATING,
    LEAF_LIFETIME,
    ROOT_LIFETIME,
    endpoint_uri,
)
from latchstring.protocol.ids import EndpointId

_ENDPOINT_ID: Final[TypeAdapter[str]] = TypeAdapter(EndpointId)
_ROOT_SUFFIX: Final = " root"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")


class X509Authority:
    """Issues certificates under one root."""

    def __init__(self, root: x509.Certificate, signer: Signer) -> None:
        if root.public_key() != signer.public_key:
            raise ValueError("the root certificate and the signer have different keys")
        self._root = root
        self._key = ecdsa_key(signer)

    @property
    def root(self) -> x509.Certificate:
        """The root certificate, which endpoints pin."""
        return self._root

    def root_pem(self) -> bytes:
        """Return the root certificate in PEM."""
        return self._root.public_bytes(Encoding.PEM)

    def issue_server(self, names: Sequence[str], public_key: object, now: datetime) -> x509.Certificate:
        """Issue a certificate for a TLS server.

        Args:
            names: DNS names and IP addresses under which it is reached; at least one.
            public_key: the server's P-256 public key.
            now: the time of issue.

        Raises:
            ValueError: no name, a malformed name, or another kind of key.
            ExpiredError: the root has expired.
        """
        if not names:
            raise ValueError("a server certificate needs at least one name")
        alternatives = x509.SubjectAlternativeName(_general_names(names))
        builder = self._leaf(names[0], _p256(public_key), now).add_extension(alternatives, critical=False)
        return self._sign(builder, ExtendedKeyUsageOID.SERVER_AUTH)

    def issue_client(self, request: bytes, endpoint_id: str, now: datetime) -> x509.Certificate:
        """Issue a certificate for an endpoint.

        Args:
            request: PKCS 10 in PEM. Only its public key is used, after the signature has proven its possession.
            endpoint_id: whom the certificate names.
            now: the time of issue.

        Raises:
            CertificateRequestError: the request is malformed, for another kind of key, or not signed by its key.
            ExpiredError: the root has expired.
            ValueError: ``endpoint_id`` has not its form.
        """
        name = _ENDPOINT_ID.validate_python(endpoint_id)
        builder = self._leaf(name, public_key_of_request(request), now)
        uri = x509.UniformResourceIdentifier(endpoint_uri(name))
        builder = builder.add_extension(x509.SubjectAlternativeName([uri]), critical=False)
        return self._sign(builder, ExtendedKeyUsageOID.CLIENT_AUTH)

    def _leaf(self, common_name: str, public_key: EllipticCurvePublicKey, now: datetime) -> x509.CertificateBuilder:
        root_end = self._root.not_valid_after_utc
        if now >= root_end:
            raise ExpiredError(f"the root certificate expired on {root_end:%Y-%m-%d}")
        subject, issuer = _name(common_name), self._root.subject
        builder = _builder(subject, issuer, public_key, now, min(now + LEAF_LIFETIME, root_end))
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(authority, critical=False)
        )

    def _sign(self, builder: x509.CertificateBuilder, usage: x509.ObjectIdentifier) -> x509.Certificate:
        return builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False).sign(self._key, hashes.SHA256())


def create_root(controller_name: str, signer: Signer, now: datetime) -> x509.Certificate:
    """Return a self-signed root named ``<controller name> root``, valid for 20 years, that signs leaves only.

    Raises:
        ValueError: the name is empty, or the signer is not an ECDSA P-256 one.
    """
    if not controller_name:
        raise ValueError("a root needs the controller's name")
    key = ecdsa_key(signer)
    # X.520 limits the length; the name is for people, what is trusted is the key.
    name = _name(controller_name[: MAX_COMMON_NAME - len(_ROOT_SUFFIX)] + _ROOT_SUFFIX)
    builder = _builder(name, name, key.public_key(), now, now + ROOT_LIFETIME)
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def public_key_of_request(request: bytes) -> EllipticCurvePublicKey:
    """Return the public key of a PKCS 10 request in PEM, once the request has proven that its sender holds the key.

    Raises:
        CertificateRequestError: the request is malformed, for another kind of key, or not signed by its key.
    """
    if len(request) > MAX_BYTES:
        raise CertificateRequestError(f"the certificate request is longer than {MAX_BYTES} bytes")
    try:
        with strict_parsing():
            csr = x509.load_pem_x509_csr(request)
        public_key = _p256(csr.public_key())
        valid = csr.is_signature_valid
    except (InvalidSignature, *PARSE_ERRORS) as error:
        raise CertificateRequestError("the certificate request is not a PKCS 10 request for a P-256 key") from error
    if not valid:
        raise CertificateRequestError("the certificate request is not signed by the key that it holds")
    return public_key


def _p256(public_key: object) -> EllipticCurvePublicKey:
    if not isinstance(public_key, EllipticCurvePublicKey) or not isinstance(public_key.curve, SECP256R1):
        raise ValueError("a certificate needs a P-256 public key")  # noqa: TRY004 - one error type for all bad keys
    return public_key


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:MAX_COMMON_NAME])])


def _general_names(names: Iterable[str]) -> list[x509.GeneralName]:
    return [_general_name(name) for name in dict.fromkeys(names)]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if not _HOST_NAME.fullmatch(name):
            raise ValueError(f"{name[:MAX_COMMON_NAME]!r} is neither an IP address nor a host name") from None
        return x509.DNSName(name.lower())


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    if now.utcoffset() is None:
        raise ValueError("the time of issue must be aware of its zone")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_whole_seconds(now) - BACKDATING)
        .not_valid_after(_whole_seconds(end))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _whole_seconds(time: datetime) -> datetime:
    return time - timedelta(microseconds=time.microsecond)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
