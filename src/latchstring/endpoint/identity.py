"""Who this endpoint is: what it keeps from its enrolment, and the keys that it made itself.

A directory is believed only if its parts belong together; each part was verified when it came.
"""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from latchstring.certs.keyfiles import KeyFileError, read_private
from latchstring.certs.note_signer import Ed25519NoteSigner
from latchstring.certs.signer import Algorithm, FileSigner, Signer
from latchstring.certs.tls_contexts import TlsCredentials
from latchstring.endpoint.data_directory import DataDirectory
from latchstring.endpoint.errors import EnrolmentError
from latchstring.protocol.enrolment import EnrolmentResponse


@dataclass(frozen=True, slots=True)
class Identity:
    """An enrolled endpoint."""

    enrolment: EnrolmentResponse
    journal_signer: Signer = field(repr=False)
    tunnel: TlsCredentials

    @property
    def endpoint_id(self) -> str:
        """The endpoint's id."""
        return self.enrolment.endpoint_id

    @property
    def root(self) -> bytes:
        """The pinned root certificate, in PEM."""
        return self.enrolment.root_certificate.encode()

    @property
    def journal_key(self) -> Ed25519PublicKey:
        """The public half of the journal's key."""
        key = self.journal_signer.public_key
        if not isinstance(key, Ed25519PublicKey):
            raise EnrolmentError("the journal's key is not an Ed25519 key")
        return key

    @property
    def journal_origin(self) -> str:
        """The name of the journal as a log."""
        return f"{self.enrolment.controller_name}/journal/{self.endpoint_id}"

    def journal_note_signer(self) -> Ed25519NoteSigner:
        """Return what signs the journal's checkpoints."""
        return Ed25519NoteSigner(self.journal_origin, self.journal_signer)


def load_identity(directory: DataDirectory) -> Identity:
    """Return the endpoint that lives in ``directory``.

    Raises:
        EnrolmentError: a part is missing, damaged, or others could reach it.
    """
    try:
        enrolment = EnrolmentResponse.model_validate_json(read_private(directory.enrolment))
        journal_signer = FileSigner.load(directory.journal_key, Algorithm.ED25519)
    except KeyFileError as error:
        raise EnrolmentError(str(error)) from error
    except ValidationError as error:
        raise EnrolmentError(f"{directory.enrolment} is damaged; restore it from a backup, or enrol anew") from error
    return Identity(
        enrolment=enrolment,
        journal_signer=journal_signer,
        tunnel=TlsCredentials(directory.tunnel, directory.tunnel),
    )
