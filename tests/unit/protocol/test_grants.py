"""Grants: never wider than the offer, and bound by a digest to every one of their fields."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from latchstring.protocol.canonical_json import parse_canonical
from latchstring.protocol.grants import MAX_DURATION_SECONDS, Grant, Offer, grant_from_offer

OFFER: dict[str, Any] = {
    "session_id": "ses-aaaaaaaaaaaaaaaa",
    "endpoint_id": "ept-aaaaaaaaaaaaaaaa",
    "endpoint_name": "acme-pbx1",
    "customer_id": "cus-aaaaaaaaaaaaaaaa",
    "engineer": {"account_id": "acc-aaaaaaaaaaaaaaaa", "name": "Éva Müller", "email": "eva@vendor.test"},
    "ssh_public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43,
    "purpose": "support_request",
    "ticket": "SUP-1042",
    "note": "no sound on extension 204",
    "capabilities": ["exec", "forward:web", "sftp_read", "shell"],
    "duration_seconds": 3600,
}
ASKED = tuple(OFFER["capabilities"])
OTHER_VALUES: dict[str, Any] = {
    "session_id": "ses-aaaaaaaaaaaaaaab",
    "endpoint_id": "ept-aaaaaaaaaaaaaaab",
    "endpoint_name": "acme-pbx2",
    "customer_id": "cus-aaaaaaaaaaaaaaab",
    "engineer": {**OFFER["engineer"], "account_id": "acc-aaaaaaaaaaaaaaab"},
    "ssh_public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "B" * 43,
    "purpose": "maintenance",
    "ticket": "SUP-1043",
    "note": None,
    "capabilities": ["exec", "forward:web", "sftp_read"],
    "duration_seconds": 3599,
}


def offer(**changes: Any) -> Offer:
    """Return the offer with some fields changed."""
    return Offer.model_validate({**OFFER, **changes})


def test_a_grant_of_all_that_was_asked() -> None:
    """A grant can be as wide as its offer, and says the same."""
    grant = grant_from_offer(offer(), capabilities=ASKED, duration_seconds=3600)
    assert grant.model_dump(exclude={"version"}) == offer().model_dump()


@given(st.sets(st.sampled_from(ASKED), min_size=1), st.integers(min_value=1, max_value=3600))
def test_a_grant_may_be_narrower(capabilities: set[str], duration_seconds: int) -> None:
    """A grant has exactly the capabilities and the duration that it was narrowed to, and all else from the offer."""
    grant = grant_from_offer(offer(), capabilities=tuple(capabilities), duration_seconds=duration_seconds)
    assert grant.capabilities == tuple(sorted(capabilities))
    assert grant.duration_seconds == duration_seconds
    narrowed = {"version", "capabilities", "duration_seconds"}
    assert grant.model_dump(exclude=narrowed) == offer().model_dump(exclude=narrowed)


@pytest.mark.parametrize("capabilities", [("sftp_write",), (*ASKED, "forward:other"), ("shell", "root"), ()])
def test_a_grant_is_never_wider_in_capabilities(capabilities: tuple[str, ...]) -> None:
    """A capability that was not asked for, or none at all, makes no grant."""
    with pytest.raises(ValueError, match=r"capability"):
        grant_from_offer(offer(), capabilities=capabilities, duration_seconds=60)


@pytest.mark.parametrize("duration_seconds", [3601, MAX_DURATION_SECONDS + 1, 0, -1])
def test_a_grant_is_never_longer(duration_seconds: int) -> None:
    """More time than was asked for, or none, makes no grant."""
    with pytest.raises(ValueError, match=r"last longer|duration_seconds"):
        grant_from_offer(offer(), capabilities=ASKED, duration_seconds=duration_seconds)


def test_the_digest_is_of_the_canonical_bytes() -> None:
    """The digest is the SHA-256 of canonical JSON that holds every field, and anyone can compute it again."""
    grant = grant_from_offer(offer(), capabilities=ASKED, duration_seconds=60)
    body = grant.canonical_bytes()
    assert grant.digest() == hashlib.sha256(body).hexdigest()
    assert parse_canonical(body) == {**OFFER, "duration_seconds": 60, "version": 1}


def test_a_grant_travels_unchanged() -> None:
    """A grant that was read back from its bytes, or from JSON in another order, is equal and has the same digest."""
    grant = grant_from_offer(offer(), capabilities=ASKED, duration_seconds=60)
    reordered = json.dumps(dict(reversed(json.loads(grant.canonical_bytes()).items())), indent=1)
    for text in (grant.canonical_bytes(), reordered):
        again = Grant.model_validate_json(text)
        assert again == grant
        assert again.digest() == grant.digest()


@pytest.mark.parametrize("field", OTHER_VALUES)
def test_every_field_changes_the_digest(field: str) -> None:
    """A grant that differs in any one field has another digest."""
    grant, other = Grant.model_validate(OFFER), Grant.model_validate({**OFFER, field: OTHER_VALUES[field]})
    assert set(OTHER_VALUES) | {"version"} == set(Grant.model_fields)
    assert other.digest() != grant.digest()


def test_an_offer_and_a_grant_are_immutable() -> None:
    """No field of an offer or a grant can be set."""
    for value in (offer(), Grant.model_validate(OFFER)):
        with pytest.raises(ValidationError, match="frozen"):
            value.duration_seconds = 7200  # type: ignore[misc]  # that it is frozen is what this proves
        with pytest.raises(ValidationError, match="frozen"):
            value.engineer.name = "Eve"  # type: ignore[misc]  # that it is frozen is what this proves


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"session_id": "ept-aaaaaaaaaaaaaaaa"},
        {"endpoint_name": "../etc"},
        {"engineer": {**OFFER["engineer"], "admin": True}},
        {"engineer": {**OFFER["engineer"], "name": ""}},
        {"engineer": {**OFFER["engineer"], "name": "Eve\x1b[2J"}},
        {"engineer": {**OFFER["engineer"], "name": "x" * 121}},
        {"engineer": {**OFFER["engineer"], "email": "no address"}},
        {"engineer": {**OFFER["engineer"], "email": "\u0435va@vendor.test"}},  # a Cyrillic letter
        {"engineer": {**OFFER["engineer"], "email": "eve@vendor.test\n"}},
        {"ssh_public_key": "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43},
        {"ssh_public_key": OFFER["ssh_public_key"] + " comment"},
        {"ssh_public_key": OFFER["ssh_public_key"] + "\n"},
        {"purpose": "curiosity"},
        {"ticket": None},
        {"ticket": ""},
        {"note": "call 5551234567"},
        {"capabilities": []},
        {"capabilities": ["root"]},
        {"duration_seconds": 0},
        {"duration_seconds": MAX_DURATION_SECONDS + 1},
        {"duration_seconds": 1.5},
    ],
)
def test_what_is_no_offer_is_refused(change: dict[str, Any]) -> None:
    """Each field has its bounds, and no field is unknown; a support request has a ticket."""
    with pytest.raises(ValidationError):
        offer(**change)


@pytest.mark.parametrize("field", sorted(set(OFFER) - {"ticket", "note"}))
def test_an_offer_is_whole(field: str) -> None:
    """No field but the ticket and the note may be left out."""
    with pytest.raises(ValidationError, match=field):
        Offer.model_validate({name: value for name, value in OFFER.items() if name != field})


def test_an_offer_is_not_taken_for_a_grant_of_another_version() -> None:
    """A version that is not known is refused."""
    with pytest.raises(ValidationError, match="version"):
        Grant.model_validate({**OFFER, "version": 2})
