"""Ed25519 keys that sign notes in tests."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from latchstring.protocol.note_keys import KeyType, VerifierKey


class TestSigner:
    """A note signer whose key is derived from its name, with its verifier key beside it."""

    __test__ = False  # a helper of tests, which pytest does not collect

    def __init__(self, name: str, key_type: KeyType = KeyType.ED25519) -> None:
        self.name = name
        self._private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
        self.key = VerifierKey(name, key_type, self._private.public_key().public_bytes_raw())
        self.key_id = self.key.key_id

    def sign(self, message: bytes) -> bytes:
        """Return the signature over ``message``."""
        return self._private.sign(message)
