"""Whether each session's events follow the table."""

from typing import Any

import pytest

from latchstring.client.audit.faults import DiscrepancyError
from latchstring.client.audit.lifecycle import SessionLifecycles
from latchstring.protocol import events
from latchstring.protocol.session_state import SessionState
from unit.client.audit.log_builder import (
    SOURCE,
    dialled,
    ended,
    granted,
    opened,
    requested,
    whole_session,
)
from unit.client.samples import ACCOUNT_ID, ENDPOINT_ID, SESSION_ID

OTHER_ENDPOINT = "ept-" + "b" * 16

ASKED = events.SessionAsked(session_id=SESSION_ID)
CONNECTED = events.SessionConnected(session_id=SESSION_ID, connections=1)
DISCONNECTED = events.SessionDisconnected(session_id=SESSION_ID, connections=0)
WITHDRAWN = events.SessionWithdrawn(session_id=SESSION_ID, account_id=ACCOUNT_ID, source=SOURCE)
LAPSED = events.SessionLapsed(session_id=SESSION_ID)
REFUSED = events.SessionRefused(session_id=SESSION_ID, reason="customer_refused", decided_by="customer_cli")
BARRED = events.SessionAccountBarred(session_id=SESSION_ID)
TAKEN_BACK = events.SessionLost(session_id=SESSION_ID, reason="ended_by_administrator")
LOST = events.SessionLost(session_id=SESSION_ID, reason="endpoint_unreachable")
CUT = ended(state="ended_by_customer", reason="access_off")


def observe(*happened: Any) -> None:
    """Follow events to the end; an endpoint's are signed by the session's."""
    lifecycles = SessionLifecycles()
    for event in happened:
        signed = event.type in events.ENDPOINT_EVENT_TYPES
        lifecycles.observe(event, endpoint_id=ENDPOINT_ID if signed else None)


@pytest.mark.parametrize(
    "happened",
    [
        whole_session(),
        [requested(), ASKED, REFUSED],
        [requested(), WITHDRAWN],
        [requested(), ASKED, LAPSED],
        [requested(), ASKED, TAKEN_BACK],
        [requested(), granted(), BARRED, ended(state="ended_by_vendor", reason="ended_by_administrator")],
        [requested(), granted(), ended(state="expired", reason="deadline")],
        [
            requested(),
            granted(),
            CONNECTED,
            DISCONNECTED,
            CONNECTED,
            ended(state="ended_by_customer", reason="access_off"),
        ],
        # What an endpoint reports after the controller gave the session up is logged, and moves nothing.
        [requested(), granted(), LOST, CONNECTED, opened(), ended(state="lost", reason="controller_unreachable")],
        [requested(), WITHDRAWN, granted(), ended(state="lost", reason="controller_forgot")],
        [events.AgentStarted(version="0.1.0", access="ask"), requested()],
    ],
)
def test_plausible(happened: list[Any]) -> None:
    """Courses that the table allows, late reports included, are no fault."""
    observe(*happened)


@pytest.mark.parametrize(
    ("happened", "words"),
    [
        ([granted()], "which nobody requested"),
        ([requested(), requested()], "a second time"),
        ([requested(), granted(), granted()], "cannot grant"),
        ([requested(), CONNECTED], "cannot connect"),
        ([requested(), dialled()], "which is requested"),
        ([requested(), ASKED, opened()], "which is awaiting_consent"),
        ([requested(), granted(), DISCONNECTED], "cannot disconnect"),
        ([requested(), granted(), WITHDRAWN], "cannot withdraw"),
        ([requested(), REFUSED, dialled()], "which is refused"),
        ([requested(), WITHDRAWN, LAPSED], "cannot expire"),
        ([requested(), granted(), LOST, LOST], "cannot lose"),
        ([requested(), granted(capabilities=("exec", "sftp_read"))], "more than was requested"),
        ([requested(), granted(duration_seconds=3601)], "longer than was requested"),
        ([requested(), granted(engineer_key="SHA256:" + "B" * 43)], "to another key"),
        ([requested(), granted(), CONNECTED, opened(capability="shell", kind="shell")], "which was not granted"),
        ([requested(), granted(), ended(state="lost")], "does not lead to"),
    ],
)
def test_implausible(happened: list[Any], words: str) -> None:
    """Courses that the table does not allow are named."""
    with pytest.raises(DiscrepancyError, match=words):
        observe(*happened)


@pytest.mark.parametrize("foreign", [ASKED, granted(), REFUSED])
def test_another_endpoint_has_no_say(foreign: Any) -> None:
    """What another endpoint signs about a session is named, and moves nothing: the session's own goes on."""
    lifecycles = SessionLifecycles()
    lifecycles.observe(requested(), endpoint_id=None)
    with pytest.raises(DiscrepancyError, match=rf"signed by {OTHER_ENDPOINT}, and the session is one of {ENDPOINT_ID}"):
        lifecycles.observe(foreign, endpoint_id=OTHER_ENDPOINT)
    assert lifecycles.state(SESSION_ID) is SessionState.REQUESTED
    lifecycles.observe(ASKED, endpoint_id=ENDPOINT_ID)
    lifecycles.observe(granted(), endpoint_id=ENDPOINT_ID)
    with pytest.raises(DiscrepancyError, match="signed by"):
        lifecycles.observe(ended(), endpoint_id=OTHER_ENDPOINT)
    assert lifecycles.state(SESSION_ID) is SessionState.GRANTED


def test_what_does_not_fit_moves_nothing() -> None:
    """After a grant of more than was requested the session still waits, and has nothing granted."""
    lifecycles = SessionLifecycles()
    lifecycles.observe(requested(), endpoint_id=None)
    with pytest.raises(DiscrepancyError):
        lifecycles.observe(granted(capabilities=("exec", "sftp_read")), endpoint_id=ENDPOINT_ID)
    assert lifecycles.state(SESSION_ID) is SessionState.REQUESTED
    assert lifecycles.state("ses-" + "c" * 16) is None
