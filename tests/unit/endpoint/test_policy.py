"""The decision on an offer, as a table."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoint_parts import make_offer
from latchstring.endpoint.policy import Allowed, Policy, Refused, decide
from latchstring.protocol.access import AccessMode
from latchstring.protocol.endings import Reason

WEB = {"services": {"web": "127.0.0.1:8088"}}


@pytest.mark.parametrize(
    ("policy", "offer", "mode", "sessions", "decision"),
    [
        ({}, {}, "off", 0, Refused(Reason.ACCESS_OFF)),
        ({}, {}, "ask", 0, Allowed(("exec", "shell"), 3600, ask=True)),
        ({}, {}, "on", 0, Allowed(("exec", "shell"), 3600, ask=False)),
        ({"capabilities": ["exec"]}, {}, "on", 0, Allowed(("exec",), 3600, ask=False)),
        ({"capabilities": ["sftp_read"]}, {}, "on", 0, Refused(Reason.POLICY)),
        ({"capabilities": []}, {}, "on", 0, Refused(Reason.POLICY)),
        ({"longest_session": "10m"}, {}, "on", 0, Allowed(("exec", "shell"), 600, ask=False)),
        ({"max_sessions": 2}, {}, "on", 1, Allowed(("exec", "shell"), 3600, ask=False)),
        ({"max_sessions": 2}, {}, "on", 2, Refused(Reason.TOO_MANY_SESSIONS)),
        ({"max_sessions": 2}, {}, "off", 2, Refused(Reason.ACCESS_OFF)),
        ({}, {"capabilities": ("forward:web",)}, "on", 0, Refused(Reason.POLICY)),
        (WEB, {"capabilities": ("forward:web", "forward:db")}, "on", 0, Allowed(("forward:web",), 3600, ask=False)),
        ({**WEB, "capabilities": ["exec"]}, {"capabilities": ("forward:web",)}, "on", 0, Refused(Reason.POLICY)),
    ],
)
def test_decisions(
    policy: dict[str, Any], offer: dict[str, Any], mode: str, sessions: int, decision: Allowed | Refused
) -> None:
    """Each rule of the policy, alone and against the others."""
    decided = decide(Policy.model_validate(policy), make_offer(**offer), mode=AccessMode(mode), sessions=sessions)
    assert decided == decision


CAPABILITIES = st.sets(st.sampled_from(["exec", "shell", "sftp_read", "sftp_write", "forward:web", "forward:db"]))


@given(
    allowed=CAPABILITIES,
    asked=CAPABILITIES.filter(bool),
    mode=st.sampled_from(AccessMode),
    seconds=st.integers(1, 7 * 86_400),
    longest=st.integers(1, 7 * 86_400),
)
def test_never_wider(allowed: set[str], asked: set[str], mode: AccessMode, seconds: int, longest: int) -> None:
    """What is allowed is never more than the offer or the policy, and never without ``on`` or a question."""
    services = {"web": "127.0.0.1:1", "db": "127.0.0.1:2"}
    policy = Policy.model_validate({"capabilities": sorted(allowed), "services": services, "longest_session": longest})
    decision = decide(policy, make_offer(capabilities=tuple(asked), duration_seconds=seconds), mode=mode, sessions=0)
    if isinstance(decision, Allowed):
        assert set(decision.capabilities) <= allowed & asked
        assert decision.duration_seconds <= min(seconds, longest)
        assert mode is not AccessMode.OFF
        assert decision.ask == (mode is AccessMode.ASK)
