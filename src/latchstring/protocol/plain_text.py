"""Short texts that people read: one line, and nothing in it that hides or reorders what is shown.

A name or a note is shown to the customer who decides on it. Control characters could forge a terminal's screen; format
characters (bidirectional overrides, zero-width spaces) and those that most fonts leave blank could make a text read as
another; a heap of combining marks could paint over the lines around it.
"""

import unicodedata
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK: Final = frozenset(
    map(
        chr,
        (
            # Default_Ignorable_Code_Point of the Unicode Character Database, but for those in the categories above
            0x034F,
            0x115F,
            0x1160,
            0x17B4,
            0x17B5,
            *range(0x180B, 0x1810),
            0x3164,
            *range(0xFE00, 0xFE10),
            0xFFA0,
            *range(0xE0100, 0xE01F0),
            0x2800,  # a Braille cell without dots
        ),
    )
)
_MARKS: Final = frozenset({"Mn", "Me"})
_MAX_MARKS: Final = 4
"""On one letter; languages that are written with marks need up to three."""


def parse_plain_text(text: str) -> str:
    """Return ``text`` if every character of it is visible, or a single space between others.

    Raises:
        ValueError: it has a hidden character, too many marks on one letter, other spaces, or nothing but spaces.
    """
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        if category in _HIDDEN or character in _BLANK:
            raise ValueError(
                f"it has a control or hidden character (U+{ord(character):04X}); write it on one plain line"
            )
        marks = marks + 1 if category in _MARKS else 0
        if marks > _MAX_MARKS:
            raise ValueError(f"it has more than {_MAX_MARKS} marks on one letter; write it on one plain line")
    if not text.strip():
        raise ValueError("it is empty")
    if text != " ".join(text.split()):
        # Runs of spaces, wide spaces and spaces at the ends could push words to where a line of ours would begin.
        raise ValueError("it has spaces at an end, several in a row, or of another kind; write single plain spaces")
    return text


DisplayName = Annotated[str, StringConstraints(min_length=1, max_length=120), AfterValidator(parse_plain_text)]
"""The name of a person or of a customer, validated."""
