"""What signs: one interface, so that an HSM or a KMS can stand in for key files.

Everything that Latchstring signs (certificates, checkpoints, consents) is signed through :class:`Signer`. The message
is passed whole; Ed25519 signs it as RFC 8032 says, ECDSA signs its SHA-256 and answers in DER (RFC 3279, 2.2.3).
"""

from enum import Enum
from pathlib import Path
from typing import NoReturn, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from latchstring.certs.keyfiles import KeyFileRefusedError, read_private

OPENSSH_HEADER = b"-----BEGIN OPENSSH PRIVATE KEY-----"

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey
PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey


class Algorithm(Enum):
    """The signature algorithms in use."""

    ED25519 = "ed25519"
    ECDSA_P256 = "ecdsa-p256-sha256"


class Signer(Protocol):
    """Holds a private key that never leaves it."""

    @property
    def algorithm(self) -> Algorithm:
        """What :meth:`sign` computes."""

    @property
    def public_key(self) -> PublicKey:
        """The key that verifies what :meth:`sign` returns."""

    def sign(self, message: bytes) -> bytes:
        """Return the signature of ``message``: 64 bytes for Ed25519, DER for ECDSA.

        Raises:
            OSError: the key cannot be reached now. Nothing was signed.
        """


class FileSigner:
    """A signer whose key was read from a private file. It prints, pickles and copies nothing of the key."""

    __slots__ = ("_algorithm", "_private_key", "_public_key")

    def __init__(self, private_key: PrivateKey) -> None:
        self._public_key = supported_key(private_key.public_key())
        self._algorithm = algorithm_of(self._public_key)
        self._private_key = private_key

    @classmethod
    def load(cls, path: Path, algorithm: Algorithm) -> "FileSigner":
        """Read an unencrypted PKCS 8 or OpenSSH private key.

        Raises:
            KeyFileError: the file is missing, others can reach it, or it holds no such key.
        """
        signer = cls(parse_private_key(read_private(path), path))
        if signer.algorithm is not algorithm:
            raise KeyFileRefusedError(f"{path} holds a {signer.algorithm.value} key; expected {algorithm.value}")
        return signer

    @property
    def algorithm(self) -> Algorithm:
        """What :meth:`sign` computes."""
        return self._algorithm

    @property
    def public_key(self) -> PublicKey:
        """The key that verifies what :meth:`sign` returns."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """Return the signature of ``message``."""
        if isinstance(self._private_key, Ed25519PrivateKey):
            return self._private_key.sign(message)
        return self._private_key.sign(message, ec.ECDSA(hashes.SHA256()))

    def __repr__(self) -> str:
        return f"<FileSigner {self._algorithm.value}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer cannot be pickled or copied: its key stays where it is")


def supported_key(public_key: object) -> PublicKey:
    """Return a public key if it is of a kind that is used here.

    Raises:
        UnsupportedAlgorithm: it is neither an Ed25519 nor a P-256 key.
    """
    if isinstance(public_key, Ed25519PublicKey):
        return public_key
    if isinstance(public_key, EllipticCurvePublicKey) and isinstance(public_key.curve, ec.SECP256R1):
        return public_key
    raise UnsupportedAlgorithm("neither an Ed25519 nor a P-256 key")


def algorithm_of(public_key: PublicKey) -> Algorithm:
    """Return the algorithm that a supported public key is for."""
    return Algorithm.ED25519 if isinstance(public_key, Ed25519PublicKey) else Algorithm.ECDSA_P256


def parse_private_key(data: bytes, path: Path) -> PrivateKey:
    """Return the private key that ``data``, read from ``path``, holds.

    Raises:
        KeyFileRefusedError: it holds none that we use. The message names the file and repeats nothing of its contents.
    """
    load = serialization.load_ssh_private_key if data.startswith(OPENSSH_HEADER) else serialization.load_pem_private_key
    try:
        key = load(data, password=None)
        supported_key(key.public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The cause is dropped on purpose: parsers quote their input.
        raise KeyFileRefusedError(f"{path} does not hold an unencrypted Ed25519 or P-256 private key") from None
    if not isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey):
        raise KeyFileRefusedError(f"{path} does not hold an unencrypted Ed25519 or P-256 private key")
    return key
