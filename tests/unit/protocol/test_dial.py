"""The preamble: it round-trips, and nothing but its ticket's holder can make it."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol import dial
from latchstring.protocol.dial import PREAMBLE_BYTES, PreambleError, Role, Status

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
identifiers = st.text(ALPHABET, min_size=16, max_size=16)
roles = st.sampled_from(Role)
secrets = st.binary(min_size=32, max_size=32)

DIAL, SESSION = "dia-" + "d" * 16, "ses-" + "s" * 16
SECRET = bytes(range(32))
PREAMBLE = dial.encode_preamble(role=Role.ENGINEER, dial_id=DIAL, session_id=SESSION, secret=SECRET)


def verify(
    received: bytes,
    *,
    role: Role = Role.ENGINEER,
    dial_id: str = DIAL,
    session_id: str = SESSION,
    secret: bytes = SECRET,
) -> None:
    """Verify against the engineer's ticket."""
    unverified = dial.parse_preamble(received)
    dial.verify_preamble(unverified, role=role, dial_id=dial_id, session_id=session_id, secret=secret)


@given(roles, identifiers, identifiers, secrets)
def test_round_trip(role: Role, dial_part: str, session_part: str, secret: bytes) -> None:
    """Every preamble has 81 bytes, says what went into it, and verifies with its own secret."""
    dial_id, session_id = f"dia-{dial_part}", f"ses-{session_part}"
    encoded = dial.encode_preamble(role=role, dial_id=dial_id, session_id=session_id, secret=secret)
    assert len(encoded) == PREAMBLE_BYTES
    unverified = dial.parse_preamble(encoded)
    assert (unverified.role, unverified.dial_id, unverified.session_id) == (role, dial_id, session_id)
    dial.verify_preamble(unverified, role=role, dial_id=dial_id, session_id=session_id, secret=secret)


def test_layout_is_pinned() -> None:
    """The bytes on the wire are those that the module's prose says, so that old and new versions meet."""
    assert PREAMBLE[:49] == b"LATCHRL\x01E" + DIAL.encode() + SESSION.encode()
    assert PREAMBLE[49:].hex() == "7870e76a4deb63e71dd7fd42363c5ba45d32b419816ecd99ed2db77a35d0102b"


def test_any_flipped_bit_is_refused() -> None:
    """No single bit can be changed, whether it is claimed, covered or the code itself."""
    for bit in range(PREAMBLE_BYTES * 8):
        altered = bytearray(PREAMBLE)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PreambleError):
            verify(bytes(altered))


@given(st.binary(max_size=200))
def test_garbage_is_refused(garbage: bytes) -> None:
    """Bytes that are no preamble raise PreambleError and nothing else."""
    with pytest.raises(PreambleError):
        dial.parse_preamble(garbage)


@given(st.binary(min_size=PREAMBLE_BYTES - 9, max_size=PREAMBLE_BYTES - 9))
def test_garbage_after_a_true_beginning_is_refused(garbage: bytes) -> None:
    """Bytes that only begin like a preamble are refused, whatever follows."""
    with pytest.raises(PreambleError):
        verify(PREAMBLE[:9] + garbage)


def test_roles_are_not_interchangeable() -> None:
    """The engineer's secret makes no preamble of the endpoint, nor does its preamble pass as the endpoint's."""
    with pytest.raises(PreambleError, match="another ticket"):
        verify(PREAMBLE, role=Role.ENDPOINT)
    with pytest.raises(PreambleError, match="secret"):
        verify(PREAMBLE[:8] + b"P" + PREAMBLE[9:], role=Role.ENDPOINT)


@pytest.mark.parametrize(
    "ticket",
    [{"dial_id": "dia-" + "e" * 16}, {"session_id": "ses-" + "u" * 16}, {"secret": bytes(32)}],
    ids=["dial", "session", "secret"],
)
def test_another_ticket_is_refused(ticket: dict[str, str | bytes]) -> None:
    """A preamble is good for its own dial, session and secret only."""
    with pytest.raises(PreambleError):
        verify(PREAMBLE, **ticket)  # type: ignore[arg-type]  # a table of differently typed arguments


@given(st.permutations(range(4)).filter(lambda order: order != [0, 1, 2, 3]))
def test_reordered_parts_are_refused(order: list[int]) -> None:
    """The parts of a true preamble in another order are no preamble."""
    parts = [PREAMBLE[:9], PREAMBLE[9:29], PREAMBLE[29:49], PREAMBLE[49:]]
    with pytest.raises(PreambleError):
        verify(b"".join(parts[index] for index in order))


@pytest.mark.parametrize("length", range(1, PREAMBLE_BYTES + 1))
def test_every_beginning_of_a_preamble_is_a_beginning(length: int) -> None:
    """A preamble that arrives in pieces is never taken for garbage."""
    dial.check_beginning(PREAMBLE[:length])


@pytest.mark.parametrize(
    "beginning", [b"GET / HTTP/1.1\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x01", b"LATCHRL\x02"]
)
def test_other_protocols_are_noticed_at_once(beginning: bytes) -> None:
    """A stranger who speaks something else is recognised by its first bytes."""
    with pytest.raises(PreambleError, match="not a preamble"):
        dial.check_beginning(beginning)


@pytest.mark.parametrize(
    "wrong",
    [{"dial_id": SESSION}, {"session_id": DIAL}, {"dial_id": "dia-" + "D" * 16}, {"secret": b"short"}, {"dial_id": ""}],
    ids=["dial", "session", "upper case", "secret", "empty"],
)
def test_our_own_mistakes_raise(wrong: dict[str, str | bytes]) -> None:
    """Encoding what is no ticket is our bug, and raises before it reaches the wire."""
    ticket = {"dial_id": DIAL, "session_id": SESSION, "secret": SECRET} | wrong
    with pytest.raises(ValueError, match=r"needs a dial id|32 bytes"):
        dial.encode_preamble(role=Role.ENGINEER, **ticket)  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("answer", list(Status))
def test_status_round_trip(answer: Status) -> None:
    """Each status is one byte, reads back as itself, and has a meaning for people."""
    assert len(answer.wire) == dial.STATUS_BYTES
    assert dial.parse_status(answer.wire) is answer
    assert dial.STATUS_MEANING[answer]


@pytest.mark.parametrize("answer", [b"", b"\xff", b"S", b"\x00\x00"])
def test_unknown_answers_are_refused(answer: bytes) -> None:
    """What is not one known byte does not count as paired."""
    with pytest.raises(PreambleError):
        dial.parse_status(answer)


def test_unverified_preamble_shows_no_code() -> None:
    """The code, which is as good as a ticket until it is used, is not in the repr."""
    assert PREAMBLE[49:].hex() not in repr(dial.parse_preamble(PREAMBLE))
    assert repr(PREAMBLE[49:])[2:-1] not in repr(dial.parse_preamble(PREAMBLE))


def test_imports_stay_small() -> None:
    """The module pulls in nothing that would slow down the start of ``latch connect``."""
    script = "import sys, latchstring.protocol.dial; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-c", script], check=True, capture_output=True, text=True).stdout
    assert not {"typing", "dataclasses", "re", "inspect", "pydantic", "base64"} & set(loaded.split())
