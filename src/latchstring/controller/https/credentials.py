"""The listeners' certificates, and their renewal while the controller runs.

The controller's own server certificate comes from its root, with a key that is made anew each time and stands with the
certificate in one private file. A public certificate, for the listener for people, is somebody else's to renew: its
files are read again when they change. Connections keep what they began with; new ones get the new certificate.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from latchstring.certs.identity import combine_credentials, create_tls_key
from latchstring.certs.keyfiles import KeyFileError, replace_private
from latchstring.certs.tls_contexts import TlsCredentials, server_context
from latchstring.certs.x509_authority import X509Authority
from latchstring.certs.x509_profile import renewal_due
from latchstring.controller.data_directory import DataDirectory
from latchstring.controller.ports import Clock
from latchstring.controller.setup_error import SetupError

_log = logging.getLogger(__name__)


class CredentialsError(SetupError):
    """A certificate or key cannot be used for a listener."""


class ServerCertificate:
    """The certificate that the controller issues to itself."""

    def __init__(self, directory: DataDirectory, authority: X509Authority, names: Sequence[str], clock: Clock) -> None:
        self._directory = directory
        self._authority = authority
        self._names = names
        self._clock = clock
        self._certificate = self._issue()

    @property
    def credentials(self) -> TlsCredentials:
        """Where certificate and key are."""
        return TlsCredentials(self._directory.server_credentials, self._directory.server_credentials)

    def renew_if_due(self) -> bool:
        """Make a new key and certificate if two thirds of the life of the last are over; return whether it did."""
        if not renewal_due(self._certificate, self._clock.now()):
            return False
        self._certificate = self._issue()
        _log.info("renewed the server certificate")
        return True

    def _issue(self) -> x509.Certificate:
        key_path = self._directory.new_server_key
        key_path.unlink(missing_ok=True)  # of a start that died here
        key = create_tls_key(key_path)
        certificate = self._authority.issue_server(self._names, key.public_key, self._clock.now())
        both = combine_credentials(key_path, certificate.public_bytes(Encoding.PEM))
        replace_private(self._directory.server_credentials, both)
        key_path.unlink()
        return certificate


class ListenerContext:
    """The TLS context of one listener, with what it was loaded from."""

    def __init__(self, credentials: TlsCredentials, *, client_root: bytes | None = None) -> None:
        """Load the context.

        Raises:
            CredentialsError: a file is missing, reachable for others, or no certificate or key, or they do not fit.
        """
        self._credentials = credentials
        try:
            self.context = server_context(credentials, client_root=client_root)
            self._loaded = _stamps(credentials)
        except KeyFileError as error:
            raise CredentialsError(str(error)) from error
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise CredentialsError(
                f"{credentials.certificate} and {credentials.key} cannot be used for TLS: "
                f"{getattr(error, 'reason', None) or getattr(error, 'strerror', None) or error}"
            ) from error

    def reload_if_changed(self) -> None:
        """Take what the files hold now, if they changed and are usable; else go on with what is loaded."""
        try:
            stamps = _stamps(self._credentials)
            if stamps == self._loaded:
                return
            server_context(self._credentials)  # a trial: half-loaded files must not reach the context in use
            self.context.load_cert_chain(self._credentials.certificate, self._credentials.key)
        except (KeyFileError, OSError, ValueError) as error:
            _log.warning("the certificate in %s changed but cannot be used: %s", self._credentials.certificate, error)
            return
        self._loaded = stamps
        _log.info("loaded the certificate in %s anew", self._credentials.certificate)


def _stamps(credentials: TlsCredentials) -> tuple[tuple[int, int], ...]:
    return tuple(_stamp(path) for path in (credentials.certificate, credentials.key))


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino
