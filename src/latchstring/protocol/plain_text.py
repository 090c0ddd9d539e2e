"""Short texts that people read: one line, and nothing in it that hides or reorders what is shown.

A name or a note is shown to the customer who decides on it. Control characters could forge a terminal's screen, and
format characters (bidirectional overrides, zero-width spaces) could make a text read as another.
"""

import unicodedata
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def parse_plain_text(text: str) -> str:
    """Return ``text`` if every character of it is visible, or a space.

    Raises:
        ValueError: it has a hidden character, or nothing but spaces.
    """
    for character in text:
        if unicodedata.category(character) in _HIDDEN:
            raise ValueError(
                f"it has a control or hidden character (U+{ord(character):04X}); write it on one plain line"
            )
    if not text.strip():
        raise ValueError("it is empty")
    return text


DisplayName = Annotated[str, StringConstraints(min_length=1, max_length=120), AfterValidator(parse_plain_text)]
"""The name of a person or of a customer, validated."""
