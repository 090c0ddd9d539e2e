"""Reading certificates and requests that strangers send: bounded, strict, one error for all that is malformed."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning

from latchstring.certs.errors import MalformedCertificateError

MAX_BYTES: Final = 16 * 1024
"""Ours have less than 1 KiB."""

PARSE_ERRORS: Final = (
    ValueError,
    UnsupportedAlgorithm,
    CryptographyDeprecationWarning,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises, early or when a field is looked at, for bytes that are no certificate of ours."""

_PEM_HEADER: Final = b"-----BEGIN CERTIFICATE-----"


@contextmanager
def strict_parsing() -> Iterator[None]:
    """Raise where cryptography only warns: what it will refuse some day (RFC 5280 forbids it) is refused today.

    Otherwise a stranger's certificate could write warnings into our output.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", CryptographyDeprecationWarning)
        yield


def load_certificate(data: bytes) -> x509.Certificate:
    """Read one certificate in PEM or DER. Nothing of it is believed yet.

    Raises:
        MalformedCertificateError: it cannot be read, or is longer than :data:`MAX_BYTES`.
    """
    if len(data) > MAX_BYTES:
        raise MalformedCertificateError(f"the certificate is longer than {MAX_BYTES} bytes")
    load = x509.load_pem_x509_certificate if data.lstrip().startswith(_PEM_HEADER) else x509.load_der_x509_certificate
    try:
        with strict_parsing():
            return load(data)
    except PARSE_ERRORS as error:
        raise MalformedCertificateError("not an X.509 certificate") from error
