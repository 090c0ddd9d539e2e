"""The SSH authorities of the controller: session certificates for engineers' keys, host certificates for endpoints.

Two authorities with two keys, so that neither kind of certificate can ever stand for the other. Shapes:
``ssh_profile``.
"""

import re
import secrets
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import SSHCertificateBuilder, SSHCertificateType
from pydantic import TypeAdapter

from latchstring.certs.signer import Signer
from latchstring.certs.signer_bridge import ed25519_key
from latchstring.certs.ssh_profile import (
    GRANT_EXTENSION,
    PERMITTED,
    VALID_FOREVER,
    VALID_FROM,
    host_principal,
)
from latchstring.certs.ssh_public_key import format_public_key, parse_public_key
from latchstring.protocol.ids import EndpointId, SessionId, parse_endpoint_name

_SESSION_ID: Final[TypeAdapter[str]] = TypeAdapter(SessionId)
_ENDPOINT_ID: Final[TypeAdapter[str]] = TypeAdapter(EndpointId)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class SshUserAuthority:
    """Issues session certificates."""

    def __init__(self, signer: Signer) -> None:
        self._key = ed25519_key(signer)

    @property
    def public_key(self) -> str:
        """The authority's public key on one line, which endpoints pin."""
        return format_public_key(self._key.public_key())

    def issue_user(self, *, session_id: str, endpoint_id: str, public_key: str, grant_digest: str) -> str:
        """Return the session certificate on one line.

        Args:
            session_id: becomes the key id.
            endpoint_id: becomes the only principal.
            public_key: the engineer's Ed25519 key on one line.
            grant_digest: SHA-256 of the grant's canonical bytes, in lower-case hex.

        Raises:
            ValueError: an argument has not its form.
        """
        if not _DIGEST.fullmatch(grant_digest):
            raise ValueError("a grant's digest is 64 characters of lower-case hex")
        builder = _builder(SSHCertificateType.USER, parse_public_key(public_key))
        builder = builder.key_id(_SESSION_ID.validate_python(session_id).encode())
        builder = builder.valid_principals([_ENDPOINT_ID.validate_python(endpoint_id).encode()])
        builder = builder.add_extension(GRANT_EXTENSION, grant_digest.encode())
        for name in PERMITTED:
            builder = builder.add_extension(name, b"")
        return builder.sign(self._key).public_bytes().decode()


class SshHostAuthority:
    """Issues host certificates."""

    def __init__(self, signer: Signer) -> None:
        self._key = ed25519_key(signer)

    @property
    def public_key(self) -> str:
        """The authority's public key on one line, for ``@cert-authority`` in ``known_hosts``."""
        return format_public_key(self._key.public_key())

    def issue_host(self, *, endpoint_name: str, public_key: str) -> str:
        """Return the host certificate of an endpoint on one line.

        Args:
            endpoint_name: the only principal is this name with ``.latch`` after it.
            public_key: the endpoint's Ed25519 host key on one line.

        Raises:
            ValueError: an argument has not its form.
        """
        name = parse_endpoint_name(endpoint_name)
        builder = _builder(SSHCertificateType.HOST, parse_public_key(public_key))
        builder = builder.key_id(name.encode()).valid_principals([host_principal(name).encode()])
        return builder.sign(self._key).public_bytes().decode()


def _builder(kind: SSHCertificateType, public_key: Ed25519PublicKey) -> SSHCertificateBuilder:
    return (
        SSHCertificateBuilder()
        .type(kind)
        .public_key(public_key)
        .serial(secrets.randbits(64))
        .valid_after(VALID_FROM)
        .valid_before(VALID_FOREVER)
    )
