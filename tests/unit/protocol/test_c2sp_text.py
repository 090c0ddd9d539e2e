"""Numbers and base64 with one spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.c2sp_text import MAX_NUMBER, decode_base64, encode_base64, parse_decimal


@given(st.binary())
def test_base64_is_read_back(data: bytes) -> None:
    """What was encoded is decoded to the same bytes."""
    assert decode_base64(encode_base64(data)) == data


@given(st.one_of(st.text(), st.from_regex(r"\A[A-Za-z0-9+/]{0,9}={0,3}\n?\Z")))
def test_base64_has_one_spelling(text: str) -> None:
    """Whatever is accepted as base64 is the very encoding of its bytes."""
    try:
        data = decode_base64(text)
    except ValueError:
        return
    assert encode_base64(data) == text


@pytest.mark.parametrize("text", ["AB==", "AAE", "AAE==", "A AE=", "AAE=\n", "AA-_", "=", "ÄÄÄÄ", "\ud800"])
def test_other_base64_is_refused(text: str) -> None:
    """Unused bits, wrong padding, space and other alphabets are refused."""
    with pytest.raises(ValueError, match="base64"):
        decode_base64(text)


@given(st.integers(min_value=0, max_value=MAX_NUMBER))
def test_a_number_is_read_back(number: int) -> None:
    """A number is read as it is written."""
    assert parse_decimal(str(number)) == number


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "01", "00", "1_0", " 1", "1\n", "0x1", "1.0", "٣", "²", str(2**63), "9" * 5000]
)
def test_other_numbers_are_refused(text: str) -> None:
    """Signs, leading zeros, space, foreign digits and what needs more than 63 bits are refused."""
    with pytest.raises(ValueError, match="number"):
        parse_decimal(text)
