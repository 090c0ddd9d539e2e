"""Canonical JSON (RFC 8785), the form in which everything that is hashed or signed is written."""

import json
from typing import Any, Final

import rfc8785

_MAX_EXACT_INTEGER: Final = 2**53 - 1


def canonical_json(value: Any) -> bytes:
    """Return ``value`` as canonical JSON.

    Raises:
        ValueError: the value has no canonical form (NaN, an integer of 2**53 or more, a lone surrogate, a type that
            JSON lacks, nesting too deep to be written).
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise ValueError(f"no canonical JSON: {error}") from error


def parse_canonical(body: bytes) -> Any:
    """Return the value that ``body`` is the canonical JSON of.

    One value has one canonical form, so whatever two readers could understand in two ways is refused: keys that occur
    twice, NaN, other spellings of a number or of a string, space between tokens. The cost is linear in ``body``, whose
    length the caller has bounded.

    Raises:
        ValueError: it is not JSON in UTF-8, or not canonical.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object_without_duplicates,
            parse_constant=_refuse_constant,
            parse_int=_parse_integer,
        )
    except RecursionError as error:
        raise ValueError("not JSON: nested too deep") from error
    except ValueError as error:  # of json, of UTF-8, or of the hooks
        raise ValueError(f"not JSON: {error}") from error
    if canonical_json(value) != body:
        raise ValueError("not in canonical form")
    return value


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _parse_integer(text: str) -> int | float:
    """Read digits as RFC 8785 does: a number that an IEEE double cannot tell from its neighbours is a double."""
    number = int(text)
    return number if abs(number) <= _MAX_EXACT_INTEGER else float(text)
