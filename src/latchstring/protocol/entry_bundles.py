"""Entry bundles (C2SP tlog-tiles): up to 256 entries of a log in one file, each behind its length in two bytes."""

from collections.abc import Sequence
from typing import Final

from latchstring.protocol.tiles import TILE_WIDTH

MAX_ENTRY_BYTES: Final = 2**16 - 1
_LENGTH_BYTES: Final = 2


class BundleError(ValueError):
    """Entries that fit no bundle, or bytes that are none."""


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Return the bundle of 1 to 256 entries of at most 65,535 bytes.

    Raises:
        BundleError: there are none, too many, or one is too long.
    """
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise BundleError(f"a bundle has 1 to {TILE_WIDTH} entries, not {len(entries)}")
    if any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise BundleError(f"an entry has at most {MAX_ENTRY_BYTES} bytes")
    return b"".join(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries)


def decode_bundle(data: bytes, *, width: int) -> tuple[bytes, ...]:
    """Return the entries of a bundle that must hold ``width`` of them.

    Raises:
        BundleError: it is cut short, or holds more or fewer.
    """
    if not 1 <= width <= TILE_WIDTH:
        raise BundleError(f"a bundle has 1 to {TILE_WIDTH} entries, not {width}")
    entries: list[bytes] = []
    offset = 0
    for _ in range(width):
        start = offset + _LENGTH_BYTES
        end = start + int.from_bytes(data[offset:start], "big")
        if start > len(data) or end > len(data):
            raise BundleError("the bundle is cut short")
        entries.append(data[start:end])
        offset = end
    if offset != len(data):
        raise BundleError(f"the bundle holds more than {width} entries")
    return tuple(entries)
