"""Notes are signed through a Signer, under the key ID of the signed-note specification."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from latchstring.certs.note_signer import Ed25519NoteSigner
from latchstring.certs.signer import Algorithm, FileSigner
from latchstring.protocol.note import sign_note, verify_note
from latchstring.protocol.note_keys import KeyType, cosignature_message, encode_cosignature

GO_CHECKSUM_DATABASE = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
"""A verifier key that the Go project publishes; its key ID was computed by another implementation."""


class PublishedKey:
    """A signer of which only the public half is known here."""

    algorithm = Algorithm.ED25519

    def __init__(self, raw: bytes) -> None:
        self.public_key = Ed25519PublicKey.from_public_bytes(raw)

    def sign(self, message: bytes) -> bytes:
        """Refuse."""
        raise PermissionError(f"no private key is here to sign {len(message)} bytes")


def test_verifier_key_equals_a_published_one() -> None:
    """For the name and key of Go's checksum database, key ID and verifier key are those that Go publishes."""
    name, key_id, encoded = GO_CHECKSUM_DATABASE.split("+", 2)
    signer = Ed25519NoteSigner(name, PublishedKey(base64.b64decode(encoded)[1:]))
    assert signer.key_id.hex() == key_id
    assert signer.verifier_key.vkey() == GO_CHECKSUM_DATABASE


def test_signs_the_message_as_it_is() -> None:
    """The signature is plain Ed25519 over the note's text."""
    key = Ed25519PrivateKey.generate()
    signer = Ed25519NoteSigner("support.example.test/audit/operator", FileSigner(key))
    key.public_key().verify(signer.sign(b"text\n"), b"text\n")
    assert signer.name == "support.example.test/audit/operator"
    assert repr(signer) == f"<Ed25519NoteSigner {signer.name}+{signer.key_id.hex()}>"


def test_a_note_signed_through_a_signer_verifies() -> None:
    """What the protocol's notes are signed with here verifies there, under both types of key."""
    signer = Ed25519NoteSigner("support.example.test/audit/operator", FileSigner(Ed25519PrivateKey.generate()))
    verify_note(sign_note("text\n", signer), [signer.verifier_key])
    cosigner = Ed25519NoteSigner("w", FileSigner(Ed25519PrivateKey.generate()), key_type=KeyType.COSIGNATURE)
    signature = cosigner.sign(cosignature_message("text\n", timestamp=7))
    cosigner.verifier_key.verify("text\n", encode_cosignature(7, signature))


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n", "a\N{NO-BREAK SPACE}b", "a\x00"])
def test_names_that_break_a_signature_line_are_refused(name: str) -> None:
    """A key's name has no white space, no control characters and no plus sign."""
    with pytest.raises(ValueError, match="cannot name"):
        Ed25519NoteSigner(name, FileSigner(Ed25519PrivateKey.generate()))


def test_other_algorithms_are_refused() -> None:
    """A P-256 signer cannot sign notes of type 0x01."""
    with pytest.raises(ValueError, match="ecdsa-p256-sha256"):
        Ed25519NoteSigner("name", FileSigner(ec.generate_private_key(ec.SECP256R1())))
