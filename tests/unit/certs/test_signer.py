"""Signers sign, and show nothing of their keys."""

import copy
import logging
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from latchstring.certs.identity import create_log_key, create_ssh_key, create_tls_key
from latchstring.certs.keyfiles import KeyFileError, KeyFileMissingError, KeyFileRefusedError, create_private
from latchstring.certs.signer import Algorithm, FileSigner
from latchstring.certs.signer_bridge import ecdsa_key, ed25519_key

PASSPHRASE = b"correct horse"


@pytest.mark.parametrize("create", [create_ssh_key, create_log_key])
def test_ed25519_signs_after_loading(tmp_path: Path, create: Callable[[Path], FileSigner]) -> None:
    """What a reloaded Ed25519 key signs verifies with the public key that its creation returned."""
    created = create(tmp_path / "key")
    loaded = FileSigner.load(tmp_path / "key", Algorithm.ED25519)
    assert isinstance(created.public_key, Ed25519PublicKey)
    created.public_key.verify(loaded.sign(b"message"), b"message")


def test_p256_signs_after_loading(tmp_path: Path) -> None:
    """What a reloaded P-256 key signs verifies as ECDSA over SHA-256."""
    created = create_tls_key(tmp_path / "key")
    loaded = FileSigner.load(tmp_path / "key", Algorithm.ECDSA_P256)
    assert isinstance(created.public_key, EllipticCurvePublicKey)
    created.public_key.verify(loaded.sign(b"message"), b"message", ec.ECDSA(hashes.SHA256()))


def test_a_signer_cannot_be_copied_or_printed(tmp_path: Path) -> None:
    """Neither repr, pickle, copy nor attributes of a dictionary give a key out."""
    signer = create_log_key(tmp_path / "key")
    assert repr(signer) == str(signer) == "<FileSigner ed25519>"
    for copier in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            copier(signer)
    assert not hasattr(signer, "__dict__")


def test_the_wrong_kind_of_key_is_refused(tmp_path: Path) -> None:
    """A key of another algorithm than the caller expects is refused by name."""
    create_log_key(tmp_path / "log.key")
    with pytest.raises(KeyFileRefusedError, match=r"log\.key holds a ed25519 key; expected ecdsa-p256-sha256"):
        FileSigner.load(tmp_path / "log.key", Algorithm.ECDSA_P256)
    with pytest.raises(KeyFileMissingError):
        FileSigner.load(tmp_path / "absent", Algorithm.ED25519)


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, passphrase: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SECRET garbage",
        b"-----BEGIN PRIVATE KEY-----\nU0VDUkVU\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nU0VDUkVU\n-----END OPENSSH PRIVATE KEY-----\n",
        _pem(ec.generate_private_key(ec.SECP384R1())),
        _pem(rsa.generate_private_key(65537, 2048)),
        _pem(ec.generate_private_key(ec.SECP256R1()), PASSPHRASE),
    ],
    ids=["empty", "garbage", "broken PKCS 8", "broken OpenSSH", "P-384", "RSA", "encrypted"],
)
def test_what_is_no_key_is_refused_without_quoting_it(
    tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A file without a usable key is refused by name, and neither error nor log repeats its contents."""
    create_private(tmp_path / "key", data)
    with caplog.at_level(logging.DEBUG), pytest.raises(KeyFileError) as refused:
        FileSigner.load(tmp_path / "key", Algorithm.ECDSA_P256)
    assert str(tmp_path / "key") in str(refused.value)
    assert refused.value.__cause__ is None
    assert "SECRET" not in str(refused.value)
    assert "U0VDUkVU" not in str(refused.value)
    assert caplog.text == ""


class RemoteSigner:
    """Stands in for an HSM: it has a public key and signs, or cannot be reached."""

    def __init__(self, signer: FileSigner, *, reachable: bool = True) -> None:
        self._signer = signer
        self._reachable = reachable
        self.algorithm = signer.algorithm
        self.public_key = signer.public_key
        self.signed: list[bytes] = []

    def sign(self, message: bytes) -> bytes:
        """Sign, unless out of reach."""
        if not self._reachable:
            raise ConnectionRefusedError("the HSM is out of reach")
        self.signed.append(message)
        return self._signer.sign(message)


def test_certificates_are_signed_through_the_signer_alone(tmp_path: Path) -> None:
    """Cryptography's builder asks the signer exactly once, for the very bytes that the certificate carries."""
    remote = RemoteSigner(create_tls_key(tmp_path / "key"))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "remote")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(ecdsa_key(remote), hashes.SHA256())
    assert remote.signed == [request.tbs_certrequest_bytes]
    assert request.is_signature_valid


def test_a_signer_out_of_reach_signs_nothing(tmp_path: Path) -> None:
    """The signer's own error comes through the builder unchanged."""
    remote = RemoteSigner(create_tls_key(tmp_path / "key"), reachable=False)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "remote")])
    with pytest.raises(ConnectionRefusedError, match="HSM"):
        x509.CertificateSigningRequestBuilder().subject_name(name).sign(ecdsa_key(remote), hashes.SHA256())


def test_the_bridge_has_no_key_to_give_out(tmp_path: Path) -> None:
    """Every method of a private key that would reveal or use it otherwise raises."""
    ed25519 = ed25519_key(create_log_key(tmp_path / "ed25519"))
    p256 = ecdsa_key(create_tls_key(tmp_path / "p256"))
    encoding, private_format = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    for action in (
        lambda: ed25519.private_bytes(encoding, private_format, serialization.NoEncryption()),
        ed25519.private_bytes_raw,
        lambda: copy.copy(ed25519),
        lambda: copy.deepcopy(ed25519),
        lambda: p256.private_bytes(encoding, private_format, serialization.NoEncryption()),
        p256.private_numbers,
        lambda: p256.exchange(ec.ECDH(), ec.generate_private_key(ec.SECP256R1()).public_key()),
        lambda: copy.copy(p256),
        lambda: copy.deepcopy(p256),
    ):
        with pytest.raises(TypeError, match="does not give out its key"):
            action()
    with pytest.raises(TypeError, match="SHA-256"):
        p256.sign(b"message", ec.ECDSA(hashes.SHA1()))  # noqa: S303 - what must be refused
    assert p256.key_size == 256


def test_the_bridge_refuses_the_other_algorithm(tmp_path: Path) -> None:
    """An Ed25519 signer cannot stand where a P-256 one must, nor the other way round."""
    with pytest.raises(ValueError, match="not ed25519"):
        ecdsa_key(create_log_key(tmp_path / "ed25519"))
    with pytest.raises(ValueError, match="not ecdsa-p256-sha256"):
        ed25519_key(create_tls_key(tmp_path / "p256"))
