"""Fingerprints in the style of OpenSSH: ``SHA256:<base64 without padding>``."""

import base64
from typing import Final

PREFIX: Final = "SHA256:"


def format_fingerprint(digest: bytes) -> str:
    """Return the text of a SHA-256 digest."""
    return PREFIX + base64.b64encode(digest).decode().rstrip("=")
