"""Reading logs for people, and the command on top of it."""

import json
from typing import Any

import pytest

from latchstring.client.audit.describe import describe
from latchstring.client.audit.reading import newest_entries, session_entries
from latchstring.client.errors import ClientError
from latchstring.client.home import Home
from latchstring.protocol import events
from latchstring.protocol.api import EndpointList, LogList, SessionList
from unit.client.audit.log_builder import FakeLog, new_log, requested, whole_session
from unit.client.conftest import Latch
from unit.client.fake_controller import FakeController
from unit.client.samples import ACCOUNT_ID, CUSTOMER_ID, ENDPOINT_ID, SESSION_ID, endpoint_view, granted_view

SKEWED = events.EndpointConnected(endpoint_id=ENDPOINT_ID, source="::1", version="0.1.0", clock_skew_seconds=-86400)


@pytest.fixture
def log() -> FakeLog:
    """A log with a session, served in small pages."""
    return new_log()


@pytest.fixture
def served(logged_in: FakeController, log: FakeLog) -> FakeController:
    """A controller that serves the log."""
    path = f"GET /audit/logs/{CUSTOMER_ID}"
    logged_in.handlers |= {
        "GET /audit/logs": lambda _asked: LogList(logs=(log.view(),)),
        f"{path}/entries": lambda asked: log.entries(
            CUSTOMER_ID, start=int(asked.query["start"][0]), limit=int(asked.query["limit"][0])
        ),
        f"{path}/journal-keys": lambda _asked: log.journal_keys(CUSTOMER_ID),
        "GET /endpoints": lambda _asked: EndpointList(endpoints=(endpoint_view(),)),
        "GET /sessions": lambda _asked: SessionList(sessions=(granted_view(),)),
        f"GET /sessions/{SESSION_ID}": lambda _asked: granted_view(),
    }
    return logged_in


def test_newest_entries(log: FakeLog) -> None:
    """Of all logs together the newest are taken, newest last."""
    other = log.view(id=CUSTOMER_ID, customer="Other")
    read = newest_entries(log, [log.view(), other], limit=4)
    assert [entry.index for entry in read] == [17, 17, 18, 18]


def test_session_entries(log: FakeLog) -> None:
    """All entries about a session are found, and none of another."""
    log.add(requested(session_id="ses-bbbbbbbbbbbbbbbb"))
    read = session_entries(log, [log.view()], SESSION_ID)
    assert [entry.entry.event.type for entry in read] == [event.type for event in whole_session()]
    assert session_entries(log, [log.view()], "ses-cccccccccccccccc") == []


def test_entry_that_cannot_be_read(log: FakeLog) -> None:
    """A log with garbage in it ends in one line that names the log."""
    log.bodies[3] = b"garbage"
    with pytest.raises(ClientError, match="the log of Acme Dental cannot be read"):
        newest_entries(log, [log.view()], limit=100)


@pytest.mark.parametrize("event", [*whole_session(), SKEWED])
def test_every_event_is_one_line(event: Any) -> None:
    """An event is one line that begins with its name and holds names where they are known."""
    line = describe(event, {ENDPOINT_ID: "acme-pbx1", ACCOUNT_ID: "ann@example.test"})
    assert line.startswith(event.type)
    assert "\n" not in line
    assert ENDPOINT_ID not in line
    assert ACCOUNT_ID not in line


def test_line_of_a_request() -> None:
    """A request says who asks whom for what, for how long and why."""
    line = describe(requested(ticket="SUP-1", note="update"), {})
    for words in (
        SESSION_ID,
        f"on {ENDPOINT_ID}",
        "exec,shell",
        "for 1h",
        "maintenance",
        "ticket SUP-1",
        "note update",
    ):
        assert words in line


def test_list_command(latch: Latch, served: FakeController) -> None:
    """The command lists the newest events, one a line, or as JSON."""
    ran = latch("audit", "list", "--limit", "4")
    assert (ran.code, len(ran.out.splitlines())) == (0, 4)
    assert "Acme Dental  session.ended" in ran.out
    assert served.asked[0].query == {"operation": ["list"]}
    document = json.loads(latch("audit", "list", "--json").out)
    assert [event["index"] for event in document["events"]] == list(range(19))
    assert document["events"][5]["endpoint"] == {"id": ENDPOINT_ID, "sequence": 0, "time": "2026-11-24T09:30:00.000Z"}
    assert latch("audit", "list", "--customer", "Acme Dental").code == 0
    ran = latch("audit", "list", "--customer", "Nobody")
    assert (ran.code, ran.out) == (1, "")
    assert "there are: Acme Dental" in ran.err


def test_show_command(latch: Latch, served: FakeController) -> None:
    """The command shows one session from request to end, and who said what."""
    ran = latch("audit", "show", "aaaa")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0] == f"{SESSION_ID} on acme-pbx1 of Acme Dental: granted"
    assert len(lines) == 2 + len(whole_session())
    assert "vendor    session.requested" in lines[2]
    assert "customer  session.granted" in lines[4]
    assert "account ann@example.test" in lines[2]
    assert ran.out.count(SESSION_ID) == 1
    document = json.loads(latch("audit", "show", SESSION_ID, "--json").out)
    assert (document["session"]["id"], len(document["events"])) == (SESSION_ID, len(whole_session()))
    assert latch("audit", "show", "!").code == 2
    assert any(asked.query.get("session") == [SESSION_ID] for asked in served.asked)


def test_verify_command(latch: Latch, served: FakeController, log: FakeLog, home: Home) -> None:
    """The command verifies, remembers, and ends with 1 as soon as a log does not hold."""
    config = home.read_config()
    assert config.controller_name == "support.example.test"
    ran = latch("audit", "verify")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("Acme Dental: verified, 19 entries, root ")
    document = json.loads(latch("audit", "verify", "--json").out)
    (report,) = document["logs"]
    assert (report["verified"], report["previous_size"], report["fault"]) == (True, 19, None)
    log.bodies.pop(9)
    ran = latch("audit", "verify")
    assert ran.code == 1
    assert "Acme Dental: FAILED, entry 18: it has 18 entries, and had 19" in ran.out
    assert ran.err.startswith("latch: 1 of 1 logs failed verification; first, Acme Dental: entry 18")
    served.handlers["GET /audit/logs"] = lambda _asked: LogList(logs=())
    ran = latch("audit", "verify", "--json")
    assert ran.code == 1
    (report,) = json.loads(ran.out)["logs"]
    assert (report["id"], report["verified"]) == (CUSTOMER_ID, False)
    assert "no longer shows this log" in report["fault"]["message"]


def test_log_id_is_checked(latch: Latch, served: FakeController, log: FakeLog) -> None:
    """An id that would become another path, there or here, is refused."""
    served.handlers["GET /audit/logs"] = lambda _asked: LogList(logs=(log.view(id="../../../etc"),))
    for command in ("list", "verify"):
        ran = latch("audit", command)
        assert (ran.code, ran.out) == (4, "")
        assert "not understood" in ran.err
