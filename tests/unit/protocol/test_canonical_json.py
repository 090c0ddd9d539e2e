"""Canonical JSON."""

import json
import math
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.canonical_json import canonical_json, parse_canonical
from vectors import FOLDER, needs_vectors, vector_files

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=12,
)


@needs_vectors
@pytest.mark.parametrize("path", vector_files("jcs/testdata/input/*.json"))
def test_vectors(path: str) -> None:
    """The inputs of RFC 8785's authors come out as their outputs, which are read as canonical."""
    name = PurePath(path).stem
    value = json.loads((FOLDER / path).read_bytes())
    expected = bytes.fromhex((FOLDER / f"jcs/testdata/outhex/{name}.txt").read_text())
    assert canonical_json(value) == expected
    assert (FOLDER / f"jcs/testdata/output/{name}.json").read_bytes() == expected
    assert canonical_json(parse_canonical(expected)) == expected


@needs_vectors
@pytest.mark.parametrize("path", vector_files("jcs/testdata/input/*.json"))
def test_inputs_that_are_not_canonical_are_refused(path: str) -> None:
    """The same values in the form that their authors wrote are not taken for canonical."""
    data = (FOLDER / path).read_bytes()
    if data == (FOLDER / path.replace("/input/", "/output/")).read_bytes():
        pytest.skip("this input is canonical already")
    with pytest.raises(ValueError, match="canonical"):
        parse_canonical(data)


@given(VALUES)
def test_a_value_is_read_back(value: object) -> None:
    """What was written is read as an equal value."""
    assert parse_canonical(canonical_json(value)) == value


@given(st.one_of(st.binary(), st.text().map(str.encode), VALUES.map(lambda value: json.dumps(value).encode())))
def test_a_value_has_one_spelling(data: bytes) -> None:
    """Whatever is accepted as canonical is the very canonical form of its value."""
    try:
        value = parse_canonical(data)
    except ValueError:
        return
    assert canonical_json(value) == data


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":1}',
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1}\n',
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"1" * 400,
        b"1" * 5000,
        b"1.0",
        b"-0",
        b"1E3",
        b"9007199254740993",
        b'"\\u0041"',
        b'"\\ud800"',
        b'{"\\ud800":1}',
        b'"\\/"',
        b'"\xff"',
        b"\xef\xbb\xbf1",
        '"wide"'.encode("utf-16"),
        b"",
        b"[1,]",
        b"nul",
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_not_canonical_is_refused(body: bytes) -> None:
    """Doubled keys, other spellings, numbers that are none, and nesting without end are each a ValueError."""
    with pytest.raises(ValueError, match=r"JSON|canonical"):
        parse_canonical(body)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, 2**53, -(2**53), "\ud800", {"\ud800": 1}, {1: 2}, {None: 1}, b"bytes", object()]
)
def test_what_has_no_canonical_form_is_not_written(value: object) -> None:
    """Values that JSON cannot hold, or not exactly, are a ValueError."""
    with pytest.raises(ValueError, match="canonical"):
        canonical_json(value)


def test_a_value_that_holds_itself_is_not_written() -> None:
    """Endless nesting is a ValueError."""
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="canonical"):
        canonical_json(endless)
