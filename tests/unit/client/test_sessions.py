"""Endpoints, sessions, opening and closing, against a controller that answers over TLS."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchstring.client import opening
from latchstring.client.errors import ClientError, UnreachableError
from latchstring.client.home import Home
from latchstring.protocol.api import EndpointList, SessionList
from latchstring.protocol.problems import ProblemCode, ProblemError
from unit.client.conftest import Latch
from unit.client.fake_controller import Asked, FakeController
from unit.client.samples import SESSION_ID, endpoint_view, granted_view, session_view

OPEN = ("open", "acme-pbx1", "--purpose", "maintenance")
WAIT_PATH = f"GET /sessions/{SESSION_ID}"


def refusing(code: ProblemCode, detail: str) -> Callable[[Asked], Any]:
    """Return a handler that answers with a problem."""

    def handle(_asked: Asked) -> Any:
        raise ProblemError(code, detail)

    return handle


def test_endpoints(latch: Latch, logged_in: FakeController) -> None:
    """Endpoints are listed in a table and as JSON, and a clock that is wrong is named."""
    views = (endpoint_view(), endpoint_view(name="acme-pbx2", online=False, access=None, clock_skew_seconds=86_400))
    logged_in.handlers["GET /endpoints"] = lambda _asked: EndpointList(endpoints=views)
    ran = latch("endpoints")
    assert ran.code == 0
    header, first, second = ran.out.splitlines()
    assert header.split()[:4] == ["NAME", "CUSTOMER", "ONLINE", "ACCESS"]
    assert first.split()[:5] == ["acme-pbx1", "Acme", "Dental", "yes", "ask"]
    assert "1d ahead" in second
    assert "the clock of acme-pbx2 is 1d ahead" in ran.err
    document = json.loads(latch("endpoints", "--json").out)
    assert [view["name"] for view in document["endpoints"]] == ["acme-pbx1", "acme-pbx2"]


def test_no_endpoints(latch: Latch, logged_in: FakeController) -> None:
    """An empty list prints nothing on stdout, and an empty document as JSON."""
    logged_in.handlers["GET /endpoints"] = lambda _asked: EndpointList(endpoints=())
    ran = latch("endpoints")
    assert (ran.code, ran.out, ran.err) == (0, "", "there are no endpoints yet\n")
    assert json.loads(latch("endpoints", "--json").out) == {"endpoints": []}


def test_sessions(latch: Latch, logged_in: FakeController) -> None:
    """Sessions are listed as asked for."""
    logged_in.handlers["GET /sessions"] = lambda _asked: SessionList(sessions=(granted_view(ticket="SUP-1"),))
    assert SESSION_ID in latch("sessions", "--all", "--limit", "7").out
    assert logged_in.asked[0].query == {"limit": ["7"], "all": ["true"]}
    assert json.loads(latch("sessions", "--json").out)["sessions"][0]["id"] == SESSION_ID


def test_open_waits_for_the_decision(latch: Latch, logged_in: FakeController, home: Home) -> None:
    """A request waits until it is granted, says whom it waits for, and answers one line."""
    answers = iter([session_view(state="awaiting_consent"), granted_view()])
    logged_in.handlers["POST /sessions"] = lambda _asked: session_view()
    logged_in.handlers[WAIT_PATH] = lambda _asked: next(answers)
    ran = latch(*OPEN, "--for", "1h30m", "--allow", "shell, exec,forward:webadmin", "--note", "update 2")
    assert ran.code == 0
    assert ran.out == f"{SESSION_ID} granted on acme-pbx1 for 1h with exec,shell\n"
    assert "waiting for Acme Dental (acme-pbx1)" in ran.err
    assert "now: ssh acme-pbx1.latch" in ran.err
    sent = logged_in.asked[0].body
    assert sent == {
        "endpoint": "acme-pbx1",
        "purpose": "maintenance",
        "ticket": None,
        "note": "update 2",
        "capabilities": ["exec", "forward:webadmin", "shell"],
        "duration_seconds": 5400,
        "ssh_public_key": home.ssh_public_key(),
    }
    assert logged_in.asked[1].query == {"wait_seconds": ["25"]}


def test_open_as_json(latch: Latch, logged_in: FakeController) -> None:
    """As JSON the answer is one document with the keys that programs rely on, waiting or not."""
    logged_in.handlers["POST /sessions"] = lambda _asked: session_view()
    logged_in.handlers[WAIT_PATH] = lambda _asked: granted_view()
    document = json.loads(latch(*OPEN, "--json").out)
    assert {key: document[key] for key in ("id", "state", "endpoint", "expires_at")} == {
        "id": SESSION_ID,
        "state": "granted",
        "endpoint": "acme-pbx1",
        "expires_at": "2026-11-24T10:30:00.000Z",
    }
    ran = latch(*OPEN, "--no-wait", "--json")
    assert (ran.code, json.loads(ran.out)["state"]) == (0, "requested")


@pytest.mark.parametrize(
    ("view", "code", "words"),
    [
        (
            session_view(state="refused", reason="access_off", explanation="the customer has turned access off"),
            3,
            "acme-pbx1 refused: the customer has turned access off",
        ),
        (session_view(state="refused", reason="customer_refused", explanation="not\x1b[2Jnow"), 3, "(not [2Jnow)"),
        (session_view(state="expired", reason="unanswered"), 1, "nobody answered in time"),
        (session_view(state="lost", reason="endpoint_unreachable"), 4, "the endpoint was gone for too long"),
        (session_view(state="ended_by_vendor"), 1, "it is ended_by_vendor"),
    ],
)
def test_open_that_comes_to_nothing(latch: Latch, logged_in: FakeController, view: Any, code: int, words: str) -> None:
    """A decision against the request has its exit code and reason; as JSON the session is printed as well."""
    logged_in.handlers["POST /sessions"] = lambda _asked: session_view()
    logged_in.handlers[WAIT_PATH] = lambda _asked: view
    ran = latch(*OPEN)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err.splitlines()[-1]
    assert ran.err.count("turned access off") <= 1
    ran = latch(*OPEN, "--json")
    assert ran.code == code
    assert json.loads(ran.out)["state"] == view.state


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--purpose", "support_request"), "needs the ticket"),
        (("--purpose", "fun"), "there are support_request"),
        (("--purpose", "maintenance", "--ticket", "no spaces"), "is not a ticket reference"),
        (("--purpose", "maintenance", "--note", "call 030 1234567"), "phone number"),
        (("--purpose", "maintenance", "--note", "x" * 201), "201 characters"),
        (("--purpose", "maintenance", "--for", "soon"), "is not a duration"),
        (("--purpose", "maintenance", "--for", "8d"), "at most 7d"),
        (("--purpose", "maintenance", "--allow", "root"), "is not a capability"),
        (("--purpose", "maintenance", "--allow", ","), "at least one capability"),
        ((), "Missing option '--purpose'"),
    ],
)
def test_what_cannot_be_meant_is_not_sent(
    latch: Latch, logged_in: FakeController, arguments: tuple[str, ...], words: str
) -> None:
    """Bad input to open is a usage error in one line, before the controller hears of it."""
    ran = latch("open", "acme-pbx1", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert ran.err.count("\n") == 1
    assert logged_in.asked == []


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (ProblemCode.UNKNOWN_ENDPOINT, 1),
        (ProblemCode.LOG_UNAVAILABLE, 1),
        (ProblemCode.BAD_REQUEST, 1),
        (ProblemCode.WRONG_ROLE, 3),
        (ProblemCode.REFUSED, 3),
        (ProblemCode.TOO_MANY_SESSIONS, 3),
        (ProblemCode.ENDPOINT_OFFLINE, 4),
    ],
)
def test_problems_have_exit_codes(latch: Latch, logged_in: FakeController, code: ProblemCode, exit_code: int) -> None:
    """What the controller says is said in one line, with the exit code of its kind."""
    logged_in.handlers["POST /sessions"] = refusing(code, "this is why\x1b[2J\nand how")
    ran = latch(*OPEN)
    assert (ran.code, ran.out, ran.err) == (exit_code, "", "latch: acme-pbx1: this is why [2J and how\n")


def test_unknown_session_is_named(latch: Latch, logged_in: FakeController) -> None:
    """A session that the controller does not know is named in the line."""
    logged_in.handlers[f"DELETE /sessions/{SESSION_ID}"] = refusing(ProblemCode.UNKNOWN_SESSION, "there is none")
    ran = latch("close", SESSION_ID)
    assert (ran.code, ran.err) == (1, f"latch: {SESSION_ID}: there is none\n")


def test_interrupt_takes_the_request_back(latch: Latch, logged_in: FakeController, monkeypatch: Any) -> None:
    """Ctrl-C while waiting withdraws the request."""

    def interrupted(*_args: Any, **_named: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("latchstring.client.actions.sessions.wait_for_decision", interrupted)
    logged_in.handlers["POST /sessions"] = lambda _asked: session_view()
    logged_in.handlers[f"DELETE /sessions/{SESSION_ID}"] = lambda _asked: session_view(state="withdrawn")
    ran = latch(*OPEN)
    assert ran.code == 1
    assert ran.err.endswith(f"latch: interrupted: the request {SESSION_ID} was withdrawn\n")


@pytest.mark.parametrize(
    ("answer", "words"),
    [(granted_view(), "is being closed"), (None, "could not be taken back")],
)
def test_withdrawing_that_comes_late(answer: Any, words: str) -> None:
    """If the request was decided in that moment, or the controller is gone, the engineer is told so."""

    class Controller:
        """Answers the closing only."""

        def close_session(self, session_id: str) -> Any:
            """Answer, or fail."""
            if answer is None:
                raise ClientError(f"no {session_id}")
            return answer

    assert words in str(opening.withdraw(Controller(), SESSION_ID))  # type: ignore[arg-type]  # all that is used


def test_waiting_survives_a_restart_of_the_controller() -> None:
    """A controller that cannot be reached is asked again after growing pauses; after the last, it ends unreachable."""
    outcomes: list[Any] = [UnreachableError("gone")] * 2 + [granted_view()]
    pauses: list[float] = []

    class Controller:
        """Fails, and comes back."""

        def session(self, session_id: str, *, wait_seconds: int) -> Any:
            """Answer the next outcome."""
            assert (session_id, wait_seconds) == (SESSION_ID, 25)
            outcome = outcomes.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

    def wait() -> Any:
        return opening.wait_for_decision(
            Controller(),  # type: ignore[arg-type]  # all that is used
            session_view(),
            tell=lambda _line: None,
            sleep=pauses.append,
        )

    assert wait().state == "granted"
    assert pauses == [1.0, 2.0]
    outcomes[:] = [UnreachableError("gone")] * 7
    with pytest.raises(UnreachableError, match=f"the request {SESSION_ID} may still be answered"):
        wait()


def test_close(latch: Latch, logged_in: FakeController) -> None:
    """A session is closed by its id or by the beginning of it."""
    logged_in.handlers["GET /sessions"] = lambda _asked: SessionList(sessions=(granted_view(),))
    logged_in.handlers[f"DELETE /sessions/{SESSION_ID}"] = lambda _asked: granted_view()
    for typed in (SESSION_ID, "aaaa", "ses-aaaa"):
        ran = latch("close", typed)
        assert (ran.code, ran.out) == (0, f"{SESSION_ID} closing on acme-pbx1\n")
    logged_in.handlers[f"DELETE /sessions/{SESSION_ID}"] = lambda _asked: session_view(state="withdrawn")
    assert latch("close", SESSION_ID).out == f"{SESSION_ID} withdrawn on acme-pbx1\n"


@pytest.mark.parametrize(
    ("typed", "code", "words"),
    [("b", 1, "no session begins with 'b'"), ("a", 1, "2 sessions begin with 'a'"), ("!", 2, "is not a session")],
)
def test_close_of_what_is_not_one_session(
    latch: Latch, logged_in: FakeController, typed: str, code: int, words: str
) -> None:
    """What does not name exactly one session closes none."""
    views = (granted_view(), granted_view(id="ses-abaaaaaaaaaaaaaa"))
    logged_in.handlers["GET /sessions"] = lambda _asked: SessionList(sessions=views)
    ran = latch("close", typed)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err
    assert all(asked.method == "GET" for asked in logged_in.asked)
