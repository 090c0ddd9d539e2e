"""The closed union of events: names, twins, and no room for content."""

import re
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from latchstring.protocol import events

MEMBERS = [*get_args(get_args(events.ControllerEvent)[0]), *get_args(get_args(events.EndpointEvent)[0])]
MAX_TEXT = 254


def test_names_are_dotted_and_distinct() -> None:
    """Each event has a name of its own, of two words."""
    names = [member.model_fields["type"].default for member in MEMBERS]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", name), name


def test_no_event_is_both_sides() -> None:
    """An event is the controller's or an endpoint's, never either's."""
    assert not events.CONTROLLER_EVENT_TYPES & events.ENDPOINT_EVENT_TYPES


@pytest.mark.parametrize(
    ("success", "failure"),
    [
        ("login.succeeded", "login.failed"),
        ("endpoint.enrolled", "endpoint.enrolment_refused"),
        ("session.requested", "session.request_refused"),
        ("session.granted", "session.refused"),
        ("session.dialled", "session.dial_refused"),
        ("session.connected", "session.connection_refused"),
        ("channel.opened", "channel.refused"),
    ],
)
def test_success_has_a_failure_twin(success: str, failure: str) -> None:
    """What can succeed can be seen to fail."""
    assert {success, failure} <= events.CONTROLLER_EVENT_TYPES | events.ENDPOINT_EVENT_TYPES


def strings(schema: Any) -> list[dict[str, Any]]:
    """Find every string schema below ``schema``."""
    if isinstance(schema, list):
        return [found for item in schema for found in strings(item)]
    if not isinstance(schema, dict):
        return []
    here = [schema] if schema.get("type") == "string" else []
    return here + [found for item in schema.values() for found in strings(item)]


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: str(member.__name__))
def test_no_field_can_hold_free_text(member: Any) -> None:
    """Each text in each event is a closed set, has a pattern, or is one of the three checked short forms."""
    checked = {"ticket", "note", "capability", "capabilities", "until", "endpoint_name"}
    schema = TypeAdapter(member).json_schema()
    for name, field in schema["properties"].items():
        if name in checked:
            continue
        for text in strings(field):
            assert "pattern" in text or "enum" in text or "const" in text, (name, text)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ticket", "the customer said that her card is blocked"),
        ("ticket", "x" * 65),
        ("note", "x" * 201),
        ("note", "call +49 170 1234567"),
        ("note", "4111 1111 1111 1111"),
        ("note", "write to jane@example.test"),
        ("capabilities", ("shell", "cat /var/spool/asterisk")),
    ],
)
def test_checked_texts_are_checked(field: str, value: object) -> None:
    """The short forms refuse what is long or looks like content."""
    fields = {
        "session_id": "ses-aaaaaaaaaaaaaaaa",
        "endpoint_id": "ept-cccccccccccccccc",
        "account_id": "acc-bbbbbbbbbbbbbbbb",
        "source": "127.0.0.1",
        "purpose": "maintenance",
        "ticket": None,
        "note": None,
        "capabilities": ("shell",),
        "duration_seconds": 60,
        "engineer_key": "SHA256:" + "A" * 43,
    }
    events.SessionRequested.model_validate(fields)
    with pytest.raises(ValidationError):
        events.SessionRequested.model_validate(fields | {field: value})
