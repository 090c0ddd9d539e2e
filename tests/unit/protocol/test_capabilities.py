"""Capabilities: a closed set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from latchstring.protocol.capabilities import (
    FORWARD_PREFIX,
    MAX_CAPABILITIES,
    PLAIN,
    Capabilities,
    forward,
    normalise,
    parse_capability,
    parse_service_name,
)

SERVICE_NAMES = st.from_regex(r"\A[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?\Z")
CAPABILITIES = st.one_of(st.sampled_from(PLAIN), SERVICE_NAMES.map(forward))
ADAPTER: TypeAdapter[tuple[str, ...]] = TypeAdapter(Capabilities)


@given(CAPABILITIES)
def test_a_capability_is_its_own_text(capability: str) -> None:
    """Each plain capability, and forwarding to any service that can be named, is read as it is written."""
    assert parse_capability(capability) == capability


@given(SERVICE_NAMES)
def test_a_service_name_and_its_capability_go_together(name: str) -> None:
    """What can name a service can be forwarded to."""
    assert parse_service_name(name) == name
    assert parse_capability(forward(name)).removeprefix(FORWARD_PREFIX) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "root",
        "Shell",
        "shell ",
        "shell\n",
        "sftp",
        "sftp_read,sftp_write",
        "forward",
        "forward:",
        "forward:*",
        "forward:Web",
        "forward:-web",
        "forward:web-",
        "forward:10.0.0.1",
        "forward:web:443",
        "forward:web\n",
        "forward:" + "x" * 33,
        "forward:forward:web",
        "*",
    ],
)
def test_what_names_no_capability_is_refused(text: str) -> None:
    """Anything outside the closed set is refused, with the set in the message."""
    with pytest.raises(ValueError, match=r"shell, exec, sftp_read, sftp_write, forward:NAME"):
        parse_capability(text)


@given(st.text(max_size=45))
def test_text_is_a_capability_only_if_it_is_in_the_set(text: str) -> None:
    """No text but the plain capabilities, and forwarding to a service name, is accepted."""
    try:
        parse_capability(text)
    except ValueError:
        return
    assert text in PLAIN or parse_service_name(text.removeprefix(FORWARD_PREFIX))


@pytest.mark.parametrize("name", ["", "-", "_a", "a_", "A", "a.b", "a b", "a\n", "x" * 33])
def test_what_names_no_service_is_refused(name: str) -> None:
    """A service's name is 1 to 32 lower-case characters that neither start nor end in punctuation."""
    with pytest.raises(ValueError, match="not a service name"):
        parse_service_name(name)


@given(st.lists(CAPABILITIES, min_size=1, max_size=12), st.data())
def test_equal_sets_are_equal_values(capabilities: list[str], data: st.DataObject) -> None:
    """Order and repetition do not change a set of capabilities."""
    shuffled = data.draw(st.permutations([*capabilities, capabilities[0]]))
    assert normalise(tuple(shuffled)) == normalise(tuple(capabilities)) == tuple(sorted(set(capabilities)))
    assert ADAPTER.validate_json(ADAPTER.dump_json(tuple(shuffled))) == normalise(tuple(capabilities))


def test_a_session_has_1_to_32_capabilities() -> None:
    """No capability at all is refused, and so are more than 32 different ones."""
    many = tuple(forward(f"service{number}") for number in range(MAX_CAPABILITIES))
    assert len(normalise(many + many)) == MAX_CAPABILITIES
    with pytest.raises(ValueError, match="at most 32"):
        normalise((*many, "shell"))
    with pytest.raises(ValueError, match="at least one"):
        normalise(())


@pytest.mark.parametrize("value", ["shell", {"shell": 1}, None, [1], ["shell", "root"], [["shell"]], []])
def test_what_is_no_set_of_capabilities_is_refused(value: object) -> None:
    """A bare string, other types, and a set with one bad member are refused whole."""
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(value)
