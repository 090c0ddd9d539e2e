"""Enrolment: the one-time code, and the request that proves its possession without ever sending it.

The code is ``latch1.`` and the base64url of ``version(1) ‖ secret(16) ‖ root(32) ‖ address ‖ check(4)``: the address of
the controller's listener for people (UTF-8, ``host:port``), the SHA-256 of its root certificate, a 128-bit secret, and
the first bytes of a SHA-256 that tells a garbled code from a wrong one.

The secret seeds an Ed25519 key (HKDF-SHA256). The controller keeps only that key's public half, so a stolen database
enrols nobody; the endpoint signs its request with the private half, so whoever stands between (even with a certificate
that the endpoint trusts) can neither replay the request for keys of their own nor learn the secret.
"""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import StringConstraints

from latchstring.protocol.canonical_json import canonical_json
from latchstring.protocol.grants import Frozen, SshPublicKey
from latchstring.protocol.ids import CustomerId, EndpointId, EndpointName
from latchstring.protocol.messages import Host, Pem, Port
from latchstring.protocol.plain_text import DisplayName

PREFIX: Final = "latch1."
SECRET_BYTES: Final = 16
CODE_LIFE_SECONDS: Final = 24 * 3600
_DOMAIN: Final = b"latchstring enrolment v1\n"
_VERSION: Final = 1
_ROOT_BYTES: Final = 32
_CHECK_BYTES: Final = 4
_MAX_CODE: Final = 600
_ADDRESS = re.compile(r"(?:\[[0-9a-f:]+\]|[0-9A-Za-z._-]+):[0-9]{1,5}")


class EnrolmentCodeError(ValueError):
    """Text that is no enrolment code, or a garbled one."""


class EnrolmentProofError(ValueError):
    """A request that is not signed with the code's key."""


@dataclass(frozen=True)
class EnrolmentCode:
    """What an enrolment code says.

    Attributes:
        address: ``host:port`` of the controller's listener for people.
        root_sha256: over the DER of the controller's root certificate.
        secret: what the enrolment's key is derived from.
    """

    address: str
    root_sha256: bytes
    secret: bytes = field(repr=False)

    @property
    def host(self) -> str:
        """The host of the address; an IPv6 address without brackets."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port of the address."""
        return int(self.address.rpartition(":")[2])

    def encode(self) -> str:
        """Return the code as text."""
        body = bytes([_VERSION]) + self.secret + self.root_sha256 + self.address.encode()
        return PREFIX + base64.urlsafe_b64encode(body + _check(body)).decode().rstrip("=")

    def signing_key(self) -> Ed25519PrivateKey:
        """Return the key that signs the enrolment request."""
        seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=_DOMAIN).derive(self.secret)
        return Ed25519PrivateKey.from_private_bytes(seed)

    def public_key_hex(self) -> str:
        """Return the public half, which is all that the controller keeps."""
        return self.signing_key().public_key().public_bytes_raw().hex()


def parse_enrolment_code(text: str) -> EnrolmentCode:
    """Return what the code says. White space around and within it is ignored, since codes are pasted.

    Raises:
        EnrolmentCodeError: it is no code, or garbled.
    """
    compact = "".join(text.split())
    if not compact.startswith(PREFIX):
        raise EnrolmentCodeError(f"this is not an enrolment code; a code starts with {PREFIX!r}")
    garbled = EnrolmentCodeError("the enrolment code is garbled or cut short; copy it again, whole")
    if len(compact) > _MAX_CODE:
        raise garbled
    encoded = compact.removeprefix(PREFIX)
    try:
        body = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise garbled from error
    content, check = body[:-_CHECK_BYTES], body[-_CHECK_BYTES:]
    if len(content) <= 1 + SECRET_BYTES + _ROOT_BYTES or not hmac.compare_digest(check, _check(content)):
        raise garbled
    if content[0] != _VERSION:
        raise EnrolmentCodeError("the enrolment code is of a newer version; update latchstring on this machine")
    secret, root = content[1 : 1 + SECRET_BYTES], content[1 + SECRET_BYTES : 1 + SECRET_BYTES + _ROOT_BYTES]
    address = content[1 + SECRET_BYTES + _ROOT_BYTES :].decode("utf-8", errors="replace")
    if not _ADDRESS.fullmatch(address):
        raise garbled
    return EnrolmentCode(address=address, root_sha256=root, secret=secret)


def _check(body: bytes) -> bytes:
    return hashlib.sha256(_DOMAIN + body).digest()[:_CHECK_BYTES]


class EnrolmentKeys(Frozen):
    """The public keys that an endpoint made, and the invitation that it takes up."""

    version: Literal[1] = 1
    invitation_key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    signing_request: Pem
    ssh_host_key: SshPublicKey
    journal_key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class EnrolmentRequest(Frozen):
    """The keys, signed with the code's key (base64)."""

    keys: EnrolmentKeys
    signature: Annotated[str, StringConstraints(min_length=88, max_length=88)]


class EnrolmentResponse(Frozen):
    """What an endpoint keeps after it enrolled. It dials the tunnel and the relay that are named here, nothing else."""

    endpoint_id: EndpointId
    endpoint_name: EndpointName
    customer_id: CustomerId
    customer_name: DisplayName
    controller_name: Host
    tunnel_host: Host
    tunnel_port: Port
    relay_host: Host
    relay_port: Port
    root_certificate: Pem
    client_certificate: Pem
    ssh_host_certificate: Annotated[str, StringConstraints(max_length=4000)]
    ssh_user_ca: SshPublicKey
    log_verifier_key: Annotated[str, StringConstraints(max_length=600)]


def sign_enrolment(code: EnrolmentCode, keys: EnrolmentKeys) -> EnrolmentRequest:
    """Sign ``keys`` with the code's key."""
    signature = code.signing_key().sign(_DOMAIN + canonical_json(keys.model_dump(mode="json")))
    return EnrolmentRequest(keys=keys, signature=base64.b64encode(signature).decode())


def verify_enrolment(request: EnrolmentRequest) -> EnrolmentKeys:
    """Return the keys of a request that the invitation's key signed.

    Raises:
        EnrolmentProofError: it did not.
    """
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(request.keys.invitation_key))
    message = _DOMAIN + canonical_json(request.keys.model_dump(mode="json"))
    try:
        key.verify(base64.b64decode(request.signature, validate=True), message)
    except (InvalidSignature, binascii.Error) as error:
        raise EnrolmentProofError("the request is not signed with the enrolment code") from error
    return request.keys
