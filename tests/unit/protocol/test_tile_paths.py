"""The names of a log's static files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.tile_paths import TilePath, format_entries_path, format_tile_path, parse_tile_path
from latchstring.protocol.tiles import TILE_WIDTH, TileError, tile_width
from vectors import load_vectors, needs_vectors

INDEXES = st.integers(min_value=0, max_value=2**63 - 1)
WIDTHS = st.integers(min_value=1, max_value=TILE_WIDTH)


@needs_vectors
def test_entry_bundle_vectors() -> None:
    """The bundle that holds an entry of a log of a size has Tessera's path."""
    for vector in load_vectors("tlog/tile_paths.json")["entry_bundle"]:
        index = vector["index"] // TILE_WIDTH
        assert format_entries_path(index, tile_width(0, index, vector["size"])) == vector["path"]


@needs_vectors
def test_tile_vectors() -> None:
    """Tiles have Tessera's paths, and the paths are read back."""
    for vector in load_vectors("tlog/tile_paths.json")["tile"]:
        width = vector["partial"] or TILE_WIDTH
        assert format_tile_path(vector["level"], vector["index"], width) == vector["path"]
        assert parse_tile_path(vector["path"]) == TilePath(vector["level"], vector["index"], width)


@needs_vectors
def test_parse_vectors() -> None:
    """Paths are read or refused as Tessera does."""
    for vector in load_vectors("tlog/tile_paths.json")["parse"]:
        path = f"tile/{vector['level']}/{vector['index']}"
        if vector["want_error"]:
            with pytest.raises(TileError):
                parse_tile_path(path)
        else:
            width = int(vector["want_partial"]) or TILE_WIDTH
            assert parse_tile_path(path) == TilePath(int(vector["want_level"]), int(vector["want_index"]), width)


@given(st.integers(min_value=0, max_value=63), INDEXES, WIDTHS)
def test_a_path_is_read_back(level: int, index: int, width: int) -> None:
    """What a path was made of is what it is read as."""
    assert parse_tile_path(format_tile_path(level, index, width)) == TilePath(level, index, width)
    assert parse_tile_path(format_entries_path(index, width)) == TilePath("entries", index, width)


@given(
    st.one_of(
        st.text(), st.from_regex(r"\Atile/(entries|[0-9]{1,2})/(x?[0-9]{2,3}/){0,7}[0-9]{3}(\.p/[0-9]{1,3})?\n?\Z")
    )
)
def test_a_path_has_one_spelling(text: str) -> None:
    """Whatever is accepted as a path is the very path that its meaning has."""
    try:
        path = parse_tile_path(text)
    except TileError:
        return
    if path.level == "entries":
        assert format_entries_path(path.index, path.width) == text
    else:
        assert format_tile_path(path.level, path.index, path.width) == text


@pytest.mark.parametrize(
    "text",
    [
        "tile/0/x000/001",
        "tile/0/000.p/256",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/00/000",
        "/tile/0/000",
        "tile/0/000\n",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/../000",
        "tile/entries/x009/x223/x372/x036/x854/x775/808",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    """Groups of zeros, full partials, foreign digits, dots and numbers of more than 63 bits name no tile."""
    with pytest.raises(TileError):
        parse_tile_path(text)


@pytest.mark.parametrize(
    ("level", "index", "width"), [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 2**63, 1), (0, 0, 0), (0, 0, 257)]
)
def test_no_path_for_what_cannot_be(level: int, index: int, width: int) -> None:
    """A level, index or width out of range gets no path."""
    with pytest.raises(TileError):
        format_tile_path(level, index, width)
