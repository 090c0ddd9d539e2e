"""Keys and TLS contexts of a controller and of endpoints, for tests with real handshakes."""

import itertools
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from latchstring.certs import controller_keys
from latchstring.certs.controller_keys import ControllerKeys
from latchstring.certs.identity import combine_credentials, create_certificate_request, create_tls_key
from latchstring.certs.keyfiles import create_private
from latchstring.certs.tls_contexts import TlsCredentials, client_context, server_context
from latchstring.protocol.ids import make_id

_numbers = itertools.count(1)


def number_id(prefix: str) -> str:
    """Return an identifier that no other call returns."""
    return make_id(prefix, next(_numbers).to_bytes(10, "big"))


@dataclass
class Identities:
    """A controller's keys, and what is made with them. ``root`` is a directory for files."""

    root: Path
    keys: ControllerKeys

    @classmethod
    def create(cls, root: Path) -> "Identities":
        """Make the keys of a controller."""
        return cls(root, controller_keys.create(root / "keys", "support.example.test", datetime.now(UTC)))

    def server_credentials(self) -> TlsCredentials:
        """Return new credentials of a listener on 127.0.0.1."""
        key_path = self.root / f"server-{next(_numbers)}.key"
        key = create_tls_key(key_path)
        certificate = self.keys.x509.issue_server(["127.0.0.1"], key.public_key, datetime.now(UTC))
        return self._combine(key_path, certificate.public_bytes(Encoding.PEM))

    def server(self, *, clients: bool = False) -> ssl.SSLContext:
        """Return a listener's context, which demands client certificates if told so."""
        return server_context(self.server_credentials(), client_root=self.keys.x509.root_pem() if clients else None)

    def person(self) -> ssl.SSLContext:
        """Return the context of a client without a certificate."""
        return client_context(self.keys.x509.root_pem())

    def endpoint(self, endpoint_id: str, *, trusted: bytes | None = None) -> ssl.SSLContext:
        """Return the context of an endpoint, which trusts ``trusted`` or our root."""
        key_path = self.root / f"client-{next(_numbers)}.key"
        request = create_certificate_request(create_tls_key(key_path), endpoint_id)
        certificate = self.keys.x509.issue_client(request, endpoint_id, datetime.now(UTC))
        credentials = self._combine(key_path, certificate.public_bytes(Encoding.PEM))
        return client_context(trusted or self.keys.x509.root_pem(), credentials=credentials)

    def _combine(self, key_path: Path, certificate: bytes) -> TlsCredentials:
        path = key_path.with_suffix(".pem")
        create_private(path, combine_credentials(key_path, certificate))
        return TlsCredentials(path, path)
