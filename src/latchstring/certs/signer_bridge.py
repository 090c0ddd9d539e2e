"""Lets cryptography's certificate builders sign through a :class:`~latchstring.certs.signer.Signer`.

The builders ask for a private key object, and call nothing of it but ``public_key``, ``curve`` and ``sign`` (X.509,
CSR and SSH alike). So these objects are private keys in type only: they pass ``sign`` on, and have no key to give out.
"""

from typing import Any, NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from latchstring.certs.signer import Algorithm, Signer


def _refuse() -> NoReturn:
    raise TypeError("a signer signs; it does not give out its key")


class _Ed25519SignerKey(Ed25519PrivateKey):
    """An Ed25519 private key that is only a signer."""

    def __init__(self, signer: Signer, public_key: Ed25519PublicKey) -> None:
        self._signer = signer
        self._public_key = public_key

    def public_key(self) -> Ed25519PublicKey:
        return self._public_key

    def sign(self, data: Any) -> bytes:
        return self._signer.sign(bytes(data))

    def private_bytes(self, *_args: object) -> NoReturn:
        _refuse()

    def private_bytes_raw(self) -> NoReturn:
        _refuse()

    def __copy__(self) -> NoReturn:
        _refuse()

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        _refuse()


class _EcdsaSignerKey(EllipticCurvePrivateKey):
    """A P-256 private key that is only a signer."""

    def __init__(self, signer: Signer, public_key: EllipticCurvePublicKey) -> None:
        self._signer = signer
        self._public_key = public_key

    def public_key(self) -> EllipticCurvePublicKey:
        return self._public_key

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        return self._public_key.key_size

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        algorithm = signature_algorithm.algorithm
        if not isinstance(signature_algorithm, ec.ECDSA) or not isinstance(algorithm, hashes.SHA256):
            raise TypeError("this signer computes ECDSA over SHA-256 and nothing else")
        return self._signer.sign(bytes(data))

    def exchange(self, *_args: object) -> NoReturn:
        _refuse()

    def private_numbers(self) -> NoReturn:
        _refuse()

    def private_bytes(self, *_args: object) -> NoReturn:
        _refuse()

    def __copy__(self) -> NoReturn:
        _refuse()

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        _refuse()


def ed25519_key(signer: Signer) -> Ed25519PrivateKey:
    """Return a private key object that signs through ``signer``, which must be an Ed25519 one."""
    public_key = signer.public_key
    if signer.algorithm is not Algorithm.ED25519 or not isinstance(public_key, Ed25519PublicKey):
        raise ValueError(f"an Ed25519 signer is needed, not {signer.algorithm.value}")
    return _Ed25519SignerKey(signer, public_key)


def ecdsa_key(signer: Signer) -> EllipticCurvePrivateKey:
    """Return a private key object that signs through ``signer``, which must be an ECDSA P-256 one."""
    public_key = signer.public_key
    if signer.algorithm is not Algorithm.ECDSA_P256 or not isinstance(public_key, EllipticCurvePublicKey):
        raise ValueError(f"an ECDSA P-256 signer is needed, not {signer.algorithm.value}")
    return _EcdsaSignerKey(signer, public_key)
