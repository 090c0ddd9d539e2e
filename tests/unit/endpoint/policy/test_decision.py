"""The decision on an offer, as a table."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from pydantic import ValidationError

from endpoint_parts import make_offer
from latchstring.endpoint.policy.decision import Allow, Allowed, Ask, Refuse, State, decide
from latchstring.endpoint.policy.schema import Policy, Ruling
from latchstring.protocol.access import AccessMode
from latchstring.protocol.endings import Reason

WEB = {"services": {"web": "127.0.0.1:8088"}}
TO_WEB = {"capabilities": ("forward:web",)}
BOTH = ("exec", "shell")
MONDAY_NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def rules(text: str) -> dict[str, Any]:
    """Return a policy with a service that says this to capabilities."""
    return {**WEB, "capabilities": dict(ruling.split("=") for ruling in text.split())}


def mondays(start: str, end: str) -> dict[str, Any]:
    """Return a policy with a window."""
    return {"windows": [{"days": ["mon"], "from": start, "to": end}]}


LONG_AGO = {"from": datetime(2026, 1, 1, tzinfo=UTC), "to": datetime(2026, 1, 2, tzinfo=UTC)}
NEXT_MONDAY = datetime(2026, 12, 7, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("policy", "offer", "mode", "sessions", "decision"),
    [
        ({}, {}, "off", 0, Refuse(Reason.ACCESS_OFF)),
        ({}, {}, "ask", 0, Ask(BOTH, 3600)),
        ({}, {}, "on", 0, Allow(BOTH, 3600)),
        (rules("shell=refuse"), {}, "on", 0, Allow(("exec",), 3600)),
        (rules("others=refuse exec=grant"), {}, "on", 0, Allow(("exec",), 3600)),
        (rules("others=refuse sftp_read=grant"), {}, "on", 0, Refuse(Reason.POLICY)),
        (rules("shell=ask"), {}, "on", 0, Ask(BOTH, 3600)),
        (rules("shell=ask"), {"capabilities": ("exec",)}, "on", 0, Allow(("exec",), 3600)),
        (rules("shell=grant"), {"capabilities": ("shell",)}, "ask", 0, Ask(("shell",), 3600)),
        (rules("shell=grant"), {}, "off", 0, Refuse(Reason.ACCESS_OFF)),
        ({"longest_session": "10m"}, {}, "on", 0, Allow(BOTH, 600)),
        ({"max_sessions": 2}, {}, "on", 1, Allow(BOTH, 3600)),
        ({"max_sessions": 2}, {}, "on", 2, Refuse(Reason.TOO_MANY_SESSIONS)),
        ({"max_sessions": 2}, {}, "off", 2, Refuse(Reason.ACCESS_OFF)),
        ({}, TO_WEB, "on", 0, Refuse(Reason.POLICY)),
        (WEB, {"capabilities": ("forward:web", "forward:db")}, "on", 0, Allow(("forward:web",), 3600)),
        (rules("forward=refuse"), TO_WEB, "on", 0, Refuse(Reason.POLICY)),
        (rules("forward=refuse forward:web=ask"), TO_WEB, "on", 0, Ask(("forward:web",), 3600)),
        ({"purposes": ["support_request"]}, {}, "on", 0, Refuse(Reason.PURPOSE_NOT_ACCEPTED)),
        ({"purposes": ["maintenance"]}, {}, "on", 0, Allow(BOTH, 3600)),
        ({"engineers": ["ANN@example.test"]}, {}, "on", 0, Allow(BOTH, 3600)),
        ({"engineers": ["*@example.test"]}, {}, "on", 0, Allow(BOTH, 3600)),
        ({"engineers": ["bob@example.test", "*@elsewhere.test"]}, {}, "on", 0, Refuse(Reason.ENGINEER_NOT_ACCEPTED)),
        (mondays("08:00", "12:30"), {}, "on", 0, Allow(BOTH, 1800)),
        (mondays("08:00", "12:30"), {}, "ask", 0, Ask(BOTH, 1800)),
        (mondays("08:00", "12:30"), {}, "off", 0, Refuse(Reason.ACCESS_OFF)),
        (mondays("08:00", "11:00"), {}, "on", 0, Refuse(Reason.OUTSIDE_WINDOW, NEXT_MONDAY)),
        ({"windows": [LONG_AGO]}, {}, "on", 0, Refuse(Reason.OUTSIDE_WINDOW)),
    ],
)
def test_decisions(
    policy: dict[str, Any], offer: dict[str, Any], mode: str, sessions: int, decision: Allowed | Refuse
) -> None:
    """Each rule of the policy, alone and against the others."""
    state = State(AccessMode(mode), sessions)
    assert decide(Policy.model_validate(policy), state, make_offer(**offer), MONDAY_NOON) == decision


SERVICES = {"web": "127.0.0.1:1", "db": "127.0.0.1:2"}
CAPABILITIES = ["exec", "shell", "sftp_read", "sftp_write", "forward:web", "forward:db"]
RULINGS = st.dictionaries(st.sampled_from([*CAPABILITIES, "forward", "others"]), st.sampled_from(Ruling))


@given(
    rulings=RULINGS,
    asked=st.sets(st.sampled_from(CAPABILITIES), min_size=1),
    mode=st.sampled_from(AccessMode),
    seconds=st.integers(1, 7 * 86_400),
    longest=st.integers(1, 7 * 86_400),
)
def test_never_wider(rulings: dict[str, Ruling], asked: set[str], mode: AccessMode, seconds: int, longest: int) -> None:
    """What is allowed is never more than the offer or the policy, and never without ``on`` or a question."""
    document = {"capabilities": rulings, "services": SERVICES, "longest_session": longest}
    try:
        policy = Policy.model_validate(document)
    except ValidationError:
        reject()  # it refuses everything, which is no policy
    offer = make_offer(capabilities=tuple(asked), duration_seconds=seconds)
    decision = decide(policy, State(mode, 0), offer, MONDAY_NOON)
    if isinstance(decision, Allowed):
        assert set(decision.capabilities) <= asked
        assert all(policy.ruling(granted) is not Ruling.REFUSE for granted in decision.capabilities)
        assert decision.duration_seconds <= min(seconds, longest)
        assert mode is not AccessMode.OFF
        if isinstance(decision, Allow):
            assert mode is AccessMode.ON
            assert all(policy.ruling(granted) is Ruling.GRANT for granted in decision.capabilities)
