"""OpenSSH's one-line form of Ed25519 public keys and certificates, and the binary form of the latter.

Source: RFC 4253, section 6.6; RFC 8709; OpenSSH PROTOCOL.certkeys. The line is ``ssh-ed25519 <base64>``; without a
comment it is canonical, so two lines are the same key exactly when they are the same text.
"""

import base64
import binascii
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from latchstring.certs.fingerprints import format_fingerprint

KEY_TYPE: Final = "ssh-ed25519"
CERTIFICATE_TYPE: Final = "ssh-ed25519-cert-v01@openssh.com"
MAX_LINE_CHARACTERS: Final = 8192


def format_public_key(public_key: object, comment: str = "") -> str:
    """Return the line of an Ed25519 public key, with a comment if there is one.

    Raises:
        ValueError: the key is of another kind, or the comment does not fit on a line.
    """
    if not isinstance(public_key, Ed25519PublicKey):
        raise ValueError("only Ed25519 keys are used for SSH")  # noqa: TRY004 - one error type for all bad keys
    if comment and not comment.isprintable():
        raise ValueError("a comment is one line of printable characters")
    line = public_key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    return f"{line} {comment}" if comment else line


def parse_public_key(line: str) -> Ed25519PublicKey:
    """Return the Ed25519 public key on ``line``; a comment is ignored.

    Raises:
        ValueError: it is not such a line.
    """
    text = line.strip()
    if len(text) > MAX_LINE_CHARACTERS or "\n" in text or text.split(" ", 1)[0] != KEY_TYPE:
        raise ValueError(f"not an OpenSSH public key: one line that begins with {KEY_TYPE} is needed")
    try:
        key = serialization.load_ssh_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("not an OpenSSH Ed25519 public key: its base64 does not hold one") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("not an OpenSSH Ed25519 public key")  # noqa: TRY004 - one error type for all bad lines
    return key


def fingerprint_of(text: str) -> str:
    """Return the fingerprint of an OpenSSH public key on one line, as ``ssh-keygen -l`` shows it.

    Raises:
        ValueError: it is no Ed25519 key.
    """
    return key_fingerprint(parse_public_key(text))


def key_fingerprint(public_key: Ed25519PublicKey) -> str:
    """Return ``SHA256:<base64 without padding>`` over the key's binary form, as ``ssh-keygen -l`` prints it."""
    return format_fingerprint(serialization.ssh_key_fingerprint(public_key, hashes.SHA256()))


def certificate_blob(line: str) -> bytes:
    """Return the binary form of the certificate on ``line`` (``ssh-ed25519-cert-v01@openssh.com <base64>``).

    Raises:
        ValueError: it is not such a line. The contents are not looked at.
    """
    fields = line.strip().split(" ")
    if len(line) > MAX_LINE_CHARACTERS or len(fields) < len(("type", "base64")) or fields[0] != CERTIFICATE_TYPE:
        raise ValueError(f"not an OpenSSH certificate: one line that begins with {CERTIFICATE_TYPE} is needed")
    try:
        return base64.b64decode(fields[1], validate=True)
    except binascii.Error as error:
        raise ValueError("not an OpenSSH certificate: its base64 is broken") from error


def certificate_line(blob: bytes) -> str:
    """Return the line of a certificate in binary form."""
    return f"{CERTIFICATE_TYPE} {base64.b64encode(blob).decode()}"
