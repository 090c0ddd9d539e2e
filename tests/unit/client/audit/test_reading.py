"""Reading logs for people, and the command on top of it."""

import json
from typing import Any

import pytest

from latchstring.client.audit.describe import describe
from latchstring.client.audit.faults import MAX_LISTED
from latchstring.client.audit.reading import newest_entries, session_entries
from latchstring.client.errors import ClientError
from latchstring.client.home import Home
from latchstring.protocol import events
from latchstring.protocol.api import EndpointList, LogList, SessionList
from latchstring.protocol.checkpoint import Checkpoint, sign_checkpoint
from latchstring.protocol.problems import ProblemCode, ProblemError
from note_signers import TestSigner
from unit.client.audit.log_builder import CONTROLLER, FakeLog, ended, new_log, opened, requested, whole_session
from unit.client.conftest import Latch
from unit.client.fake_controller import Asked, FakeController
from unit.client.samples import (
    ACCOUNT_ID,
    CUSTOMER_ID,
    ENDPOINT_ID,
    SESSION_ID,
    TIME,
    endpoint_view,
    granted_view,
)

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


@pytest.mark.parametrize(
    ("logged_at", "happened_at"),
    [("2026-11-24T09:30:01.999Z", None), ("2026-11-24T09:30:02.000Z", TIME), ("2026-11-23T09:30:00.000Z", TIME)],
)
def test_what_was_reported_late(
    latch: Latch, served: FakeController, log: FakeLog, logged_at: str, happened_at: str | None
) -> None:
    """What an endpoint reports late, or by a clock that is wrong, is shown with its own time beside the log's."""
    log.bodies.append(log.entry(ended(), logged_at=logged_at).canonical_bytes())
    read = newest_entries(log, [log.view()], limit=1000)
    assert [one.happened_at for one in read if one.happened_at is not None] == [happened_at] * (happened_at is not None)
    assert "GET /audit/logs" in served.handlers
    assert latch("audit", "list").out.count("by the endpoint's clock") == (happened_at is not None)


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
    assert lines[0] == f"{SESSION_ID} on acme-pbx1 of Acme Dental: closed"
    assert lines[1] == f"  by Ann <ann@example.test> ({ACCOUNT_ID}), maintenance"
    assert len(lines) == 2 + len(whole_session())
    assert "vendor              session.requested" in lines[2]
    assert "customer acme-pbx1  session.granted" in lines[4]
    assert "account ann@example.test" in lines[2]
    assert ran.out.count(SESSION_ID) == 1
    document = json.loads(latch("audit", "show", SESSION_ID, "--json").out)
    assert (document["session"]["id"], len(document["events"])) == (SESSION_ID, len(whole_session()))
    assert document["differences"] == []
    assert latch("audit", "show", "!").code == 2
    assert any(asked.query.get("session") == [SESSION_ID] for asked in served.asked)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"purpose": "terms_of_use"}, "purpose is terms_of_use, and in the log maintenance"),
        ({"ticket": "SUP-1"}, "ticket is SUP-1, and in the log none"),
        ({"endpoint_id": "ept-" + "c" * 16}, f"endpoint is ept-cccccccccccccccc, and in the log {ENDPOINT_ID}"),
        (
            {"engineer": {"account_id": "acc-" + "c" * 16, "name": "Eve", "email": "eve@example.test"}},
            f"account is acc-cccccccccccccccc, and in the log {ACCOUNT_ID}",
        ),
    ],
)
def test_show_says_where_the_table_lies(
    latch: Latch, served: FakeController, changes: dict[str, Any], words: str
) -> None:
    """What heads the page is the log's; where the controller's table says otherwise that is said, with status 1."""
    served.handlers[f"GET /sessions/{SESSION_ID}"] = lambda _asked: granted_view(**changes)
    ran = latch("audit", "show", SESSION_ID)
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert lines[0] == f"{SESSION_ID} on acme-pbx1 of Acme Dental: closed"
    assert ACCOUNT_ID in lines[1]
    assert "Eve" not in lines[1]
    assert lines[1].endswith("maintenance")
    assert lines[2] == f"  the controller's session table differs from its log: {words}"
    assert "is not what its log says" in ran.err
    ran = latch("audit", "show", SESSION_ID, "--json")
    assert (ran.code, json.loads(ran.out)["differences"]) == (1, [words])


def test_show_without_a_request(latch: Latch, served: FakeController, log: FakeLog) -> None:
    """A session whose request is not in the log is shown as far as it goes, and fails."""
    log.bodies.pop(4)
    ran = latch("audit", "show", SESSION_ID)
    assert ran.code == 1
    assert ran.out.startswith(f"{SESSION_ID} of Acme Dental\n")
    assert "the log holds no request of it" in ran.out
    assert served.asked


def test_verify_lists_discrepancies(latch: Latch, served: FakeController, log: FakeLog) -> None:
    """What does not fit is listed under its log, with its author, and the status is 1 though the history holds."""
    log.add(*[opened(session_id="ses-" + "z" * 16)] * (MAX_LISTED + 1))
    ran = latch("audit", "verify")
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert lines[0].startswith(f"Acme Dental: FAILED, {MAX_LISTED + 1} discrepancies, {len(log.bodies)} entries, root ")
    assert lines[1].startswith(f"  entry 19, by {ENDPOINT_ID}: channel.opened of ses-zzzzzzzzzzzzzzzz")
    assert (len(lines), lines[-1]) == (2 + MAX_LISTED, "  and 1 more")
    assert "1 of 1 logs failed verification; first, Acme Dental: entry 19" in ran.err
    (report,) = json.loads(latch("audit", "verify", "--json").out)["logs"]
    assert (report["verified"], report["fault"], report["size"]) == (False, None, len(log.bodies))
    assert (report["previous_size"], report["discrepancy_count"]) == (len(log.bodies), MAX_LISTED + 1)
    assert len(report["discrepancies"]) == MAX_LISTED
    assert report["discrepancies"][0]["index"] == 19
    assert report["discrepancies"][0]["endpoint"] == ENDPOINT_ID
    assert served.asked


@pytest.mark.parametrize("code", [ProblemCode.LOG_UNAVAILABLE, ProblemCode.INTERNAL])
def test_one_log_that_is_not_delivered_hides_no_other(
    latch: Latch, served: FakeController, log: FakeLog, code: ProblemCode
) -> None:
    """A log that the controller cannot read is reported as such, and the others are verified all the same."""
    broken = "cus-" + "b" * 16
    signer = TestSigner(f"{CONTROLLER}/audit/{broken}")
    checkpoint = sign_checkpoint(Checkpoint(signer.name, 1, bytes(32)), signer).encode().decode()
    view = log.view(id=broken, customer="Broken", checkpoint=checkpoint, verifier_key=signer.key.vkey())

    def refuse(_asked: Asked) -> Any:
        raise ProblemError(code, "log is damaged at entry 3")

    served.handlers |= {
        "GET /audit/logs": lambda _asked: LogList(logs=(view, log.view())),
        f"GET /audit/logs/{broken}/journal-keys": refuse,
        f"GET /audit/logs/{broken}/entries": refuse,
    }
    ran = latch("audit", "verify")
    assert ran.code == 1
    assert "Broken: FAILED, the controller does not deliver it: " in ran.out
    assert "log is damaged at entry 3" in ran.out
    assert "Acme Dental: verified, 19 entries" in ran.out


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
