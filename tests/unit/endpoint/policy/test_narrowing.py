"""What a broken edit takes away all the same, as a table: narrower takes effect, wider does not."""

from typing import Any

import pytest

from latchstring.endpoint.policy.narrowing import clearly_narrowed
from latchstring.endpoint.policy.schema import Policy, Ruling

BEFORE: dict[str, Any] = {
    "services": {"web": "127.0.0.1:8088", "db": "127.0.0.1:5432"},
    "content_paths": ["/var/spool/calls"],
    "engineers": ["ann@example.test", "bob@example.test"],
    "longest_session": "4h",
    "capabilities": {"shell": "ask"},
    "limits": {"processes": 100},
    "windows": [{"from": "08:00", "to": "12:00"}, {"from": "13:00", "to": "18:00"}],
}
BROKEN = {"max_session": 3}


@pytest.mark.parametrize(
    ("edit", "key", "value"),
    [
        ({"capabilities": {"shell": "refuse"}}, "capabilities", {"shell": "refuse"}),
        ({"capabilities": {"shell": "grant"}}, "capabilities", {"shell": "ask"}),
        ({"capabilities": {"exec": "refuse", "shel": "refuse"}}, "capabilities", {"shell": "ask", "exec": "refuse"}),
        ({"content_paths": ["/srv/calls", "not a path"]}, "content_paths", ("/var/spool/calls", "/srv/calls")),
        ({"content_paths": []}, "content_paths", ("/var/spool/calls",)),
        ({"read_only_paths": ["/etc/asterisk"]}, "read_only_paths", ("/etc/asterisk",)),
        ({"engineers": ["ann@example.test"]}, "engineers", ("ann@example.test",)),
        ({"engineers": ["eve@example.test"]}, "engineers", ("ann@example.test", "bob@example.test")),
        ({"purposes": ["support_request"]}, "purposes", ("support_request",)),
        ({"longest_session": "1h"}, "longest_session", 3600),
        ({"longest_session": "8h"}, "longest_session", 4 * 3600),
        ({"longest_session": "long"}, "longest_session", 4 * 3600),
        ({"max_sessions": 1}, "max_sessions", 1),
        ({"max_sessions": 500}, "max_sessions", 32),
        ({"controller_grace_seconds": 0}, "controller_grace_seconds", 0),
        ({"network": "none"}, "network", "none"),
        ({"run_as": "support"}, "run_as", "support"),
        ({"access_for": "8h"}, "access_for", 8 * 3600),
        ({"access": "off"}, "access", "off"),
        ({"access": "on"}, "access", "ask"),
        ({"timezone": "Europe/Berlin"}, "timezone", "UTC"),
    ],
)
def test_broken_edits(edit: dict[str, Any], key: str, value: Any) -> None:
    """Each setting alone, in a file that cannot be meant as a whole."""
    narrowed = clearly_narrowed(Policy.model_validate(BEFORE), {**BROKEN, **edit})
    assert getattr(narrowed, key) == value


def test_services_windows_and_limits() -> None:
    """A service or a window that is gone is gone; one that changed is not believed; limits only get smaller."""
    policy = Policy.model_validate(BEFORE)
    assert set(clearly_narrowed(policy, {"services": {"web": "127.0.0.1:8088"}}).services) == {"web"}
    assert clearly_narrowed(policy, {"services": {"web": "127.0.0.1:1"}}) == policy
    assert len(clearly_narrowed(policy, {"windows": [{"from": "08:00", "to": "12:00"}]}).windows) == 1
    assert clearly_narrowed(policy, {"windows": []}) == policy
    assert clearly_narrowed(policy, {"windows": [{"from": "08:00", "to": "23:00"}]}) == policy
    assert clearly_narrowed(policy, {"limits": {"processes": 50}}).limits.processes == 50
    assert clearly_narrowed(policy, {"limits": {"processes": 5000, "memory": "1G"}}) == policy


@pytest.mark.parametrize("value", [None, -1, 3.7, "two words", [[]], {"a": {}}, {"a": [{}]}])
def test_garbage_takes_nothing(value: Any) -> None:
    """What cannot be meant in any key changes nothing of it, and is no fault of ours."""
    policy = Policy.model_validate({**BEFORE, "access_for": "1h"})
    for key in Policy.model_fields:
        narrowed = clearly_narrowed(policy, {key: value})
        assert getattr(narrowed, key) == getattr(policy, key)


def test_all_can_be_taken_away() -> None:
    """Refusing everything is no policy to start with, and clear as one that takes away, by name or for all others."""
    policy = Policy()
    for rulings in ({"others": "refuse"}, dict.fromkeys(policy.known_capabilities(), "refuse")):
        strict = clearly_narrowed(policy, {"capabilities": rulings, "max_session": 3})
        assert {strict.ruling(capability) for capability in policy.known_capabilities()} == {Ruling.REFUSE}


def test_a_service_goes_with_what_was_said_of_it() -> None:
    """A service that is gone is gone, though the policy before has a ruling for it."""
    policy = Policy.model_validate({"services": {"web": "127.0.0.1:8088"}, "capabilities": {"forward:web": "grant"}})
    assert not clearly_narrowed(policy, {"services": {}, "capabilities": {}, "max_session": 3}).services


def test_a_ruling_for_others_does_not_widen() -> None:
    """A ruling for all others, stricter for some and milder for none, takes effect; a milder one does not."""
    policy = Policy.model_validate({"capabilities": {"others": "ask", "shell": "refuse"}})
    assert clearly_narrowed(policy, {"capabilities": {"others": "grant"}}) == policy
    strict = clearly_narrowed(policy, {"capabilities": {"exec": "refuse"}})
    assert strict.ruling("exec") is Ruling.REFUSE
    assert strict.ruling("sftp_read") is Ruling.ASK
