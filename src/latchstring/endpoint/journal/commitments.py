"""Commitments to details that could be content: the logs get a hash, the customer's journal keeps what opens it.

``commitment = SHA-256(salt ‖ canonical JSON of the detail)``, with a fresh salt of 32 random bytes for each, so that
nobody can guess a detail from its commitment.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from latchstring.protocol.canonical_json import canonical_json

SALT_BYTES: Final = 32
MAX_DETAIL_CHARACTERS: Final = 4096
"""Command lines of people and of tools fit; what is longer travels over standard input."""
MAX_REFUSED_CHARACTERS: Final = 256
"""Of what was refused: nobody ran it, and whoever sends it pays nothing for it."""


class OpeningError(ValueError):
    """An opening that does not belong to its commitment."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens a commitment. It may be content, so it is never printed."""

    salt: bytes = field(repr=False)
    detail: str = field(repr=False)

    def commitment(self) -> str:
        """Return the commitment, in lower-case hex."""
        return hashlib.sha256(self.salt + canonical_json({"detail": self.detail})).hexdigest()


def commit(detail: str, random: Callable[[int], bytes], *, limit: int = MAX_DETAIL_CHARACTERS) -> Opening:
    """Return the opening of a new commitment to ``detail``.

    What has no canonical form (a lone surrogate from bytes that are no UTF-8) is written with escapes. Of what is
    longer than ``limit`` the beginning is kept, and behind it the length and the hash of the whole.
    """
    text = detail.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if len(text) > limit:
        whole = text.encode()
        text = f"{text[:limit]}… ({len(whole)} bytes, SHA-256 {hashlib.sha256(whole).hexdigest()})"
    return Opening(salt=random(SALT_BYTES), detail=text)


def verify_opening(opening: Opening, commitment: str) -> None:
    """Check that ``opening`` opens ``commitment``.

    Raises:
        OpeningError: it does not.
    """
    if not hmac.compare_digest(opening.commitment(), commitment):
        raise OpeningError("the detail that is kept is not the one that was committed to")
