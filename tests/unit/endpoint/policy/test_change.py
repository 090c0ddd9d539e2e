"""What a change of policy leaves of a live session, as a table."""

from datetime import UTC, datetime
from typing import Any

import pytest

from endpoint_parts import make_offer
from latchstring.endpoint.policy.change import Kept, Running, what_is_left
from latchstring.endpoint.policy.schema import Policy
from latchstring.protocol.grants import grant_from_offer

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
DAY = 86_400
ALL = frozenset({"exec", "shell", "forward:web"})
BEFORE = {"services": {"web": "127.0.0.1:8088"}, "content_paths": ["/var/spool/calls"], "run_as": "support"}


def running(**changes: Any) -> Running:
    """Return a session that a person said yes to, ten minutes ago, and that ran a command."""
    offer = make_offer(capabilities=tuple(sorted(ALL)))
    grant = grant_from_offer(offer, capabilities=tuple(sorted(ALL)), duration_seconds=3600)
    fields: dict[str, Any] = {"capabilities": ALL, "used": frozenset({"exec"}), "asked": True, "seconds": 600.0}
    return Running(grant=grant, policy=Policy.model_validate(BEFORE), **{**fields, **changes})


@pytest.mark.parametrize(
    ("change", "session", "left"),
    [
        ({}, {}, Kept(ALL, DAY - 600)),
        ({"capabilities": {"shell": "refuse"}}, {}, Kept(ALL - {"shell"}, DAY - 600)),
        ({"capabilities": {"exec": "refuse"}}, {}, None),
        ({"capabilities": {"exec": "refuse"}}, {"used": frozenset()}, Kept(ALL - {"exec"}, DAY - 600)),
        ({"capabilities": {"shell": "ask"}}, {}, Kept(ALL, DAY - 600)),
        ({"capabilities": {"shell": "ask"}}, {"asked": False}, Kept(ALL - {"shell"}, DAY - 600)),
        ({"capabilities": {"others": "refuse", "sftp_read": "grant"}}, {"used": frozenset()}, None),
        ({"services": {}}, {}, Kept(ALL - {"forward:web"}, DAY - 600)),
        ({"services": {"web": "127.0.0.1:9"}}, {}, Kept(ALL - {"forward:web"}, DAY - 600)),
        ({"services": {"web": "127.0.0.1:9"}}, {"used": ALL}, None),
        ({"longest_session": "20m"}, {}, Kept(ALL, 600)),
        ({"longest_session": "10m"}, {}, None),
        ({"windows": [{"from": "08:00", "to": "12:05"}]}, {}, Kept(ALL, 300)),
        ({"windows": [{"from": "08:00", "to": "11:00"}]}, {}, None),
        ({"engineers": ["ann@example.test"]}, {}, Kept(ALL, DAY - 600)),
        ({"engineers": ["bob@example.test"]}, {}, None),
        ({"purposes": ["support_request"]}, {}, None),
        ({"run_as": "other"}, {}, None),
        ({"run_as": None}, {}, None),
        ({"network": "none"}, {}, None),
        ({"limits": {"processes": 100}}, {}, None),
        ({"content_paths": ["/var/spool/calls", "/var/spool/voicemail"]}, {}, None),
        ({"content_paths": []}, {}, Kept(ALL, DAY - 600)),
        ({"read_only_paths": ["/etc/asterisk"]}, {}, None),
        ({"access": "off"}, {}, Kept(ALL, DAY - 600)),
    ],
)
def test_what_is_left(change: dict[str, Any], session: dict[str, Any], left: Kept | None) -> None:
    """What the new policy takes is gone, what it gives anew is not given, and what cannot be taken ends the session."""
    assert what_is_left(Policy.model_validate({**BEFORE, **change}), running(**session), NOON) == left


def test_nothing_comes_back() -> None:
    """What an earlier change took stays away."""
    session = running(capabilities=frozenset({"exec"}))
    assert what_is_left(Policy.model_validate(BEFORE), session, NOON) == Kept(frozenset({"exec"}), DAY - 600)
