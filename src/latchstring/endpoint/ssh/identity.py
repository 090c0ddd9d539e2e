"""Who the SSH server is: its host key, the certificate for it, and the endpoint that both are of."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

if TYPE_CHECKING:
    import asyncssh


@dataclass(frozen=True)
class HostIdentity:
    """The endpoint's host key and certificate.

    Attributes:
        endpoint_id: the principal that session certificates must name.
        host_key: the private key; never shown.
        host_certificate: the host authority's certificate for it, on one line.
    """

    endpoint_id: str
    host_key: Ed25519PrivateKey = field(repr=False)
    host_certificate: str

    @cached_property
    def key_pair(self) -> "tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]":
        """The key and the certificate as asyncssh takes them.

        Raises:
            ValueError: the certificate is not one.
        """
        import asyncssh  # noqa: PLC0415 - who only has a host key does without (``ssh_service``)

        pem = self.host_key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        try:
            return asyncssh.import_private_key(pem), asyncssh.import_certificate(self.host_certificate)
        except asyncssh.KeyImportError as error:
            raise ValueError("the host certificate cannot be read") from error
