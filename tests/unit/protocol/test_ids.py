"""Identifiers and names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from latchstring.protocol.ids import (
    RANDOM_BYTES,
    AccountId,
    CustomerId,
    DialId,
    EndpointId,
    EndpointName,
    SessionId,
    make_id,
    parse_endpoint_name,
)

KINDS = {"acc": AccountId, "cus": CustomerId, "ept": EndpointId, "ses": SessionId, "dia": DialId}
ADAPTERS: dict[str, TypeAdapter[str]] = {prefix: TypeAdapter(kind) for prefix, kind in KINDS.items()}
BODY = "k3v7q2m4n5p6r7s2"


@given(st.sampled_from(sorted(KINDS)), st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES))
def test_a_made_identifier_is_of_its_kind_only(prefix: str, random: bytes) -> None:
    """An identifier validates as the kind that it was made for, and as no other."""
    identifier = make_id(prefix, random)
    for kind, adapter in ADAPTERS.items():
        if kind == prefix:
            assert adapter.validate_python(identifier) == identifier
        else:
            with pytest.raises(ValidationError):
                adapter.validate_python(identifier)


@given(st.lists(st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES), unique=True, max_size=20))
def test_identifiers_are_as_distinct_as_their_random_bytes(randoms: list[bytes]) -> None:
    """Different random bytes never give the same identifier."""
    assert len({make_id("ses", random) for random in randoms}) == len(randoms)


@pytest.mark.parametrize("length", [0, 9, 11, 16])
def test_an_identifier_needs_its_randomness(length: int) -> None:
    """Fewer or more random bytes make no identifier."""
    with pytest.raises(ValueError, match="10 random bytes"):
        make_id("ses", b"\x00" * length)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ses-",
        BODY,
        f"ses-{BODY[:-1]}",
        f"ses-{BODY}a",
        f"ses-{BODY.upper()}",
        f"SES-{BODY}",
        f"ses_{BODY}",
        f" ses-{BODY}",
        f"ses-{BODY}\n",
        f"ses-{BODY[:-1]}1",
        f"ses-{BODY[:-1]}/",
        f"ses-{BODY[:-2]}..",
        f"ses-{BODY[:-1]}٢",
    ],
)
def test_other_text_is_no_identifier(text: str) -> None:
    """Another length, case, alphabet or prefix, and anything around an identifier, is refused."""
    with pytest.raises(ValidationError):
        ADAPTERS["ses"].validate_python(text)


@pytest.mark.parametrize("name", ["a", "0", "acme-pbx1", "a--b", "x" * 63])
def test_dns_labels_name_endpoints(name: str) -> None:
    """A DNS label in lower case is a name."""
    assert parse_endpoint_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a.b", "a_b", "a b", "a\n", "x" * 64, "ä", "../a", "a/b", "*", "a\x00"]
)
def test_what_is_no_dns_label_names_no_endpoint(name: str) -> None:
    """Dots, slashes, upper case, space, and hyphens at the ends are refused with what is allowed."""
    with pytest.raises(ValueError, match="a-z, 0-9"):
        parse_endpoint_name(name)
    with pytest.raises(ValidationError):
        TypeAdapter(EndpointName).validate_python(name)


@given(st.text(max_size=70))
def test_an_accepted_name_is_safe_everywhere(text: str) -> None:
    """Whatever is accepted as a name has only characters that are safe in paths, host names and logs."""
    try:
        name = parse_endpoint_name(text)
    except ValueError:
        return
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_a_long_name_is_not_repeated_whole() -> None:
    """The error about a huge name is short."""
    with pytest.raises(ValueError, match="not an endpoint name") as caught:
        parse_endpoint_name("A" * 100_000)
    assert len(str(caught.value)) < 300
