"""Bundles of entries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.entry_bundles import BundleError, decode_bundle, encode_bundle


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_is_read_back(entries: list[bytes]) -> None:
    """The entries that a bundle was made of are those that it is read as."""
    assert decode_bundle(encode_bundle(entries), width=len(entries)) == tuple(entries)


@given(st.binary(max_size=600), st.integers(min_value=-1, max_value=300))
def test_garbage_is_refused_or_has_one_meaning(data: bytes, width: int) -> None:
    """Whatever is accepted as a bundle is the very bundle of its entries."""
    try:
        entries = decode_bundle(data, width=width)
    except BundleError:
        return
    assert len(entries) == width
    assert encode_bundle(entries) == data


def test_the_largest_entry_fits() -> None:
    """An entry of 65,535 bytes fits, one of 65,536 does not."""
    entry = b"x" * 65_535
    assert decode_bundle(encode_bundle([entry]), width=1) == (entry,)
    with pytest.raises(BundleError):
        encode_bundle([entry + b"x"])


@pytest.mark.parametrize("count", [0, 257])
def test_a_bundle_has_1_to_256_entries(count: int) -> None:
    """Neither an empty bundle nor one of 257 entries is made or read."""
    with pytest.raises(BundleError):
        encode_bundle([b""] * count)
    with pytest.raises(BundleError):
        decode_bundle(b"\x00\x00" * count, width=count)


def test_a_bundle_of_another_width_is_refused() -> None:
    """A bundle is refused when it is cut anywhere, or has more or fewer entries than it must."""
    bundle = encode_bundle([b"one", b"two"])
    for end in range(len(bundle)):
        with pytest.raises(BundleError):
            decode_bundle(bundle[:end], width=2)
    for width in (1, 3):
        with pytest.raises(BundleError):
            decode_bundle(bundle, width=width)
