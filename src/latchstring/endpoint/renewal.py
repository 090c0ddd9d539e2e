"""Renews the control channel's certificate: a new key is made here, and key and certificate change in one step."""

import contextlib
from typing import Final

from latchstring.certs.errors import CertificateError
from latchstring.certs.identity import combine_credentials, create_certificate_request, create_tls_key
from latchstring.certs.keyfiles import KeyFileError, read_private, replace_private
from latchstring.certs.signer import Algorithm, FileSigner
from latchstring.certs.x509_parsing import load_certificate
from latchstring.certs.x509_profile import renewal_due
from latchstring.certs.x509_verify import verify_endpoint_certificate
from latchstring.endpoint.clock import Clock
from latchstring.endpoint.data_directory import DataDirectory
from latchstring.endpoint.errors import EnrolmentError, one_line
from latchstring.endpoint.identity import Identity
from latchstring.protocol.messages import RenewCertificate

CHECK_SECONDS: Final = 3600.0
_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"


class Renewal:
    """Asks for a new certificate when it is time, and puts it in place."""

    def __init__(self, directory: DataDirectory, identity: Identity, clock: Clock) -> None:
        self._directory = directory
        self._identity = identity
        self._clock = clock

    def due(self) -> bool:
        """Return whether two thirds of the certificate's life are over.

        Raises:
            EnrolmentError: the certificate cannot be read.
        """
        try:
            chain = read_private(self._directory.tunnel)
            certificate = load_certificate(chain[chain.index(_CERTIFICATE) :])
        except (KeyFileError, CertificateError, ValueError) as error:
            raise EnrolmentError(f"{self._directory.tunnel} is damaged: {error}") from error
        return renewal_due(certificate, self._clock.now())

    def request(self) -> RenewCertificate:
        """Make a new key and return the request for its certificate.

        Raises:
            OSError: the key cannot be written.
        """
        with contextlib.suppress(FileNotFoundError):
            self._directory.new_tunnel_key.unlink()
        key = create_tls_key(self._directory.new_tunnel_key)
        request = create_certificate_request(key, self._identity.endpoint_id)
        return RenewCertificate(signing_request=request.decode())

    def accept(self, certificate: str) -> None:
        """Put the new certificate in place, with its key, once it is verified. The next connection uses it.

        Raises:
            EnrolmentError: it is not what was asked for; the old one stays.
            OSError: it cannot be written; the old one stays.
        """
        try:
            key = FileSigner.load(self._directory.new_tunnel_key, Algorithm.ECDSA_P256)
            verified = verify_endpoint_certificate(
                certificate.encode(), root=load_certificate(self._identity.root), now=self._clock.now()
            )
        except (CertificateError, KeyFileError) as error:
            raise EnrolmentError(f"the new certificate is not accepted: {one_line(str(error))}") from error
        if verified.endpoint_id != self._identity.endpoint_id or verified.public_key != key.public_key:
            raise EnrolmentError("the new certificate is not accepted: it is for another endpoint or key")
        credentials = combine_credentials(self._directory.new_tunnel_key, certificate.encode())
        replace_private(self._directory.tunnel, credentials)
        self._directory.new_tunnel_key.unlink()
