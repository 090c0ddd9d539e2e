"""What the C2SP text formats share: numbers and base64 that have exactly one spelling.

Two spellings of one value would let a signed text be changed without changing what it says.
"""

import base64
import binascii
import re
from typing import Final

MAX_NUMBER: Final = 2**63 - 1
"""The largest tree size, index and POSIX time: what signed 64-bit readers can hold."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def parse_decimal(text: str) -> int:
    """Return the number that ``text`` spells: ASCII digits, no sign, no leading zeros, at most :data:`MAX_NUMBER`.

    Raises:
        ValueError: it spells none.
    """
    if not _DECIMAL.fullmatch(text):
        raise ValueError("not a decimal number without leading zeros")
    number = int(text)
    if number > MAX_NUMBER:
        raise ValueError("the number is too large")
    return number


def encode_base64(data: bytes) -> str:
    """Return ``data`` in standard base64 with padding (RFC 4648 section 4)."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str) -> bytes:
    """Return the bytes that ``text`` encodes, in the one spelling that :func:`encode_base64` makes.

    Raises:
        ValueError: other characters, wrong padding, or bits set that no byte uses.
    """
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not base64") from error
    if encode_base64(data) != text:
        raise ValueError("not base64 in its canonical spelling")
    return data
