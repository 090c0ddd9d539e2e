"""A party's own keys: made where they are used, written to private files, never sent.

A renewal with a new key makes the key beside the old one, asks for its certificate, and then replaces one file that
holds both (:func:`combine_credentials`), so no moment exists at which key and certificate do not fit.
"""

from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from latchstring.certs.keyfiles import create_private, read_private
from latchstring.certs.signer import FileSigner, PrivateKey, Signer
from latchstring.certs.signer_bridge import ecdsa_key

MAX_COMMON_NAME: Final = 64
"""Characters that X.520 allows in a common name."""


def create_tls_key(path: Path) -> FileSigner:
    """Make an ECDSA P-256 key for TLS, as PKCS 8 in PEM.

    Raises:
        KeyFileExistsError: ``path`` exists; it was not touched.
    """
    return _create(path, ec.generate_private_key(ec.SECP256R1()), serialization.PrivateFormat.PKCS8)


def create_ssh_key(path: Path) -> FileSigner:
    """Make an Ed25519 key for SSH (host, user or authority), in OpenSSH's format.

    Raises:
        KeyFileExistsError: ``path`` exists; it was not touched.
    """
    return _create(path, Ed25519PrivateKey.generate(), serialization.PrivateFormat.OpenSSH)


def create_log_key(path: Path) -> FileSigner:
    """Make an Ed25519 key that signs a log or a journal, as PKCS 8 in PEM.

    Raises:
        KeyFileExistsError: ``path`` exists; it was not touched.
    """
    return _create(path, Ed25519PrivateKey.generate(), serialization.PrivateFormat.PKCS8)


def combine_credentials(key_path: Path, certificate: bytes) -> bytes:
    """Return what one private file holds that serves as certificate chain and key: the key, then the chain, in PEM.

    Raises:
        KeyFileError: the key's file is missing, or others can reach it.
    """
    return read_private(key_path).rstrip() + b"\n" + certificate


def create_certificate_request(signer: Signer, common_name: str) -> bytes:
    """Return a PKCS 10 request in PEM, signed by a P-256 key.

    The authority uses its public key only; ``common_name`` tells people who asked.
    """
    attribute = x509.NameAttribute(NameOID.COMMON_NAME, common_name[:MAX_COMMON_NAME])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([attribute]))
    return builder.sign(ecdsa_key(signer), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _create(path: Path, key: PrivateKey, private_format: serialization.PrivateFormat) -> FileSigner:
    data = key.private_bytes(serialization.Encoding.PEM, private_format, serialization.NoEncryption())
    create_private(path, data)
    return FileSigner(key)
