"""The names of a log's static files (C2SP tlog-tiles): ``tile/<level>/<index>[.p/<width>]`` and ``tile/entries/…``.

The index is written in groups of three digits, all but the last after an ``x``: 1234067 is ``x001/x234/067``. A partial
tile or bundle ends in its width, 1 to 255; a full one in nothing. Each file has one name only.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from latchstring.protocol.c2sp_text import MAX_NUMBER
from latchstring.protocol.tiles import MAX_LEVEL, TILE_WIDTH, TileError

CHECKPOINT_PATH: Final = "checkpoint"

_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


@dataclass(frozen=True, slots=True)
class TilePath:
    """What a path names: a tile of hashes at a level, or a bundle of entries; ``width`` is 256 when it is full."""

    level: int | Literal["entries"]
    index: int
    width: int


def format_tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile of hashes.

    Raises:
        TileError: there is no such tile.
    """
    if not 0 <= level <= MAX_LEVEL:
        raise TileError(f"there is no level {level}")
    return f"tile/{level}/{_format_index(index, width)}"


def format_entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a bundle of entries.

    Raises:
        TileError: there is no such bundle.
    """
    return f"tile/entries/{_format_index(index, width)}"


def parse_tile_path(text: str) -> TilePath:
    """Return what ``text`` names.

    Raises:
        TileError: it names no tile and no bundle, or not in the one way to write it.
    """
    match = _PATH.fullmatch(text)
    if not match:
        raise TileError(f"{text[:80]!r} is not the path of a tile")
    level, index, width = match.groups()
    number = int(index.replace("x", "").replace("/", ""))
    hashes = int(width) if width else TILE_WIDTH
    if width and hashes == TILE_WIDTH:
        raise TileError(f"{text!r} calls a full tile partial")
    if level != "entries" and int(level) > MAX_LEVEL:
        raise TileError(f"there is no level {level}")
    if _format_index(number, hashes) != text.removeprefix(f"tile/{level}/"):
        raise TileError(f"{text!r} has groups of zeros that do not belong there")
    return TilePath("entries" if level == "entries" else int(level), number, hashes)


def _format_index(index: int, width: int) -> str:
    if not 0 <= index <= MAX_NUMBER:
        raise TileError("the tile's index is out of range")
    if not 1 <= width <= TILE_WIDTH:
        raise TileError(f"a tile has 1 to {TILE_WIDTH} hashes, not {width}")
    higher, lowest = divmod(index, 1000)
    path = f"{lowest:03d}"
    while higher:
        higher, group = divmod(higher, 1000)
        path = f"x{group:03d}/{path}"
    return path if width == TILE_WIDTH else f"{path}.p/{width}"
