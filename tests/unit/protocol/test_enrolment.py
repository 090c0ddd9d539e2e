"""Enrolment codes and the proof of their possession."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol import enrolment

CODE = enrolment.EnrolmentCode(address="127.0.0.1:8443", root_sha256=bytes(range(32)), secret=b"0123456789abcdef")
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJIq8zNwBmTnVtGb0Vn4nQ1mEa9mJpXzC7u0iLQbJ3mP"


def keys(code: enrolment.EnrolmentCode = CODE, journal_key: str = "ab" * 32) -> enrolment.EnrolmentKeys:
    """Make the keys of a request."""
    return enrolment.EnrolmentKeys(
        invitation_key=code.public_key_hex(),
        signing_request="-----BEGIN",
        ssh_host_key=HOST_KEY,
        journal_key=journal_key,
    )


@given(
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=32, max_size=32),
    st.sampled_from(["127.0.0.1:8443", "[::1]:443", "support.example.test:65535"]),
)
def test_round_trip(secret: bytes, root: bytes, address: str) -> None:
    """A code says what was put into it."""
    code = enrolment.EnrolmentCode(address=address, root_sha256=root, secret=secret)
    assert enrolment.parse_enrolment_code(code.encode()) == code


def test_white_space_is_ignored() -> None:
    """A code that a mail program wrapped still works."""
    text = CODE.encode()
    assert enrolment.parse_enrolment_code(f"  {text[:30]}\n {text[30:]}\n") == CODE


@given(st.data())
def test_one_changed_character_is_noticed(data: st.DataObject) -> None:
    """A code with a typing error is called garbled, not unknown."""
    text = CODE.encode()
    place = data.draw(st.integers(len(enrolment.PREFIX), len(text) - 2))
    letter = data.draw(st.sampled_from("ABCDEFabcdef0123456789-_"))
    changed = text[:place] + letter + text[place + 1 :]
    if changed == text:
        return
    with pytest.raises(enrolment.EnrolmentCodeError, match="garbled"):
        enrolment.parse_enrolment_code(changed)


@pytest.mark.parametrize("cut", [1, 5, 20, 60])
def test_cut_short_is_noticed(cut: int) -> None:
    """A code that was not copied whole says so."""
    with pytest.raises(enrolment.EnrolmentCodeError, match="garbled"):
        enrolment.parse_enrolment_code(CODE.encode()[:-cut])


@given(st.text())
def test_other_text_is_no_code(text: str) -> None:
    """Other text is refused in one way."""
    with pytest.raises(enrolment.EnrolmentCodeError):
        enrolment.parse_enrolment_code(text)
    with pytest.raises(enrolment.EnrolmentCodeError):
        enrolment.parse_enrolment_code(enrolment.PREFIX + text)


def test_secret_does_not_print() -> None:
    """A code that ends up in an error does not give its secret away."""
    assert "0123456789abcdef" not in repr(CODE)


def test_proof() -> None:
    """A request signed with the code is accepted, and gives its keys."""
    assert enrolment.verify_enrolment(enrolment.sign_enrolment(CODE, keys())) == keys()


def test_keys_cannot_be_exchanged() -> None:
    """Whoever relays a request cannot put keys of their own into it."""
    request = enrolment.sign_enrolment(CODE, keys())
    forged = request.model_copy(update={"keys": keys(journal_key="cd" * 32)})
    with pytest.raises(enrolment.EnrolmentProofError):
        enrolment.verify_enrolment(forged)


def test_another_key_proves_nothing() -> None:
    """A signature by any other key is refused."""
    other = enrolment.EnrolmentCode(address=CODE.address, root_sha256=CODE.root_sha256, secret=b"f" * 16)
    forged = enrolment.sign_enrolment(other, keys())
    with pytest.raises(enrolment.EnrolmentProofError):
        enrolment.verify_enrolment(forged)


def test_controller_keeps_only_a_public_key() -> None:
    """What is stored for a code verifies, and neither equals nor contains the secret."""
    stored = bytes.fromhex(CODE.public_key_hex())
    assert CODE.secret not in stored
    assert isinstance(CODE.signing_key(), Ed25519PrivateKey)
    assert stored == CODE.signing_key().public_key().public_bytes_raw()
