"""Signs notes (log checkpoints and cosignatures) through a :class:`~latchstring.certs.signer.Signer`.

Source: C2SP signed-note and tlog-cosignature. A key's ID depends on its name and type, so one signer can stand for
several keys; a cosigner's key must stand under one name only, since a cosignature does not cover the name.
"""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from latchstring.certs.signer import Signer
from latchstring.protocol.note_keys import KeyType, VerifierKey


class Ed25519NoteSigner:
    """A key's name and type, and what signs for it. Satisfies ``NoteSigner`` of ``latchstring.protocol.note``.

    Raises:
        NoteKeyError: the name cannot name a key.
        ValueError: the signer is not an Ed25519 one.
    """

    def __init__(self, name: str, signer: Signer, *, key_type: KeyType = KeyType.ED25519) -> None:
        public_key = signer.public_key
        if not isinstance(public_key, Ed25519PublicKey):
            raise ValueError(  # noqa: TRY004 - the type of the signer is right, its algorithm is not
                f"notes need an Ed25519 signer, not {signer.algorithm.value}"
            )
        self._signer = signer
        self._verifier_key = VerifierKey(name, key_type, public_key.public_bytes_raw())

    @property
    def name(self) -> str:
        """The key's name on signature lines: for a log, its origin."""
        return self._verifier_key.name

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that stand for the key beside its name."""
        return self._verifier_key.key_id

    @property
    def verifier_key(self) -> VerifierKey:
        """What others need to verify."""
        return self._verifier_key

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of ``message``, which is the caller's to compose for the key's type."""
        return self._signer.sign(message)

    def __repr__(self) -> str:
        return f"<Ed25519NoteSigner {self.name}+{self.key_id.hex()}>"
