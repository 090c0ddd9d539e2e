"""Tests of the API with the real services on a real database, over real TLS."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller_parts import read_log
from latchstring.controller.administration import administration
from latchstring.controller.sessions.service import SessionService
from latchstring.protocol.api import MAX_BODY_BYTES, RootResponse
from latchstring.protocol.events import Role
from served_controller import ENDPOINT, PASSWORD, Answer, ServedController, serving, session_body


@pytest.fixture
async def controller(tmp_path: Path) -> AsyncIterator[ServedController]:
    """A controller that serves."""
    async with serving(tmp_path / "data") as served:
        yield served


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Require that nothing that a caller does is an error in our log."""
    yield
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def problem(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """Require a problem, and return it."""
    assert (answer.status, answer.body["code"]) == (status, code), answer
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.body["status"] == status
    body: dict[str, Any] = answer.body
    return body


def strict(answer: Answer) -> None:
    """Require the headers that every answer carries."""
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in answer.headers


async def events(controller: ServedController, log_id: str) -> list[str]:
    """Return the types of a log's events, once the log was verified."""
    async with administration(controller.path) as opened:
        entries = await read_log(opened.foundation.store, opened.foundation.writer, log_id)
    return [entry.event.type for entry in entries]


async def test_open_routes(controller: ServedController) -> None:
    """Root, health and the description need no login."""
    root = RootResponse.model_validate(await controller.anonymous.get("/root"))
    assert root.controller_name == "support.example.test"
    assert root.root_certificate.encode() == controller.root
    assert await controller.anonymous.get("/healthz") == {"status": "ok"}
    assert (await controller.anonymous.get("/openapi.json"))["openapi"] == "3.1.0"


async def test_login_and_logout(controller: ServedController) -> None:
    """A token works until it is given back; both are logged."""
    ann = await controller.person(Role.ENGINEER)
    assert await ann.get("/endpoints") == {"endpoints": []}
    answer = await ann.ask("POST", "/logout")
    assert (answer.status, answer.body) == (204, None)
    strict(answer)
    refused = await ann.ask("GET", "/endpoints")
    problem(refused, 401, "not_authenticated")
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    logged = await events(controller, "operator")
    assert logged[-3:] == ["account.created", "login.succeeded", "login.ended"]


async def test_wrong_password(controller: ServedController) -> None:
    """A wrong password and an unknown account get the same answer."""
    await controller.person(Role.ENGINEER)
    answers = [
        await controller.anonymous.ask("POST", "/login", {"email": email, "password": "wrong password"})
        for email in ("engineer@example.test", "nobody@example.test")
    ]
    for answer in answers:
        problem(answer, 401, "login_failed")
    assert answers[0].body == answers[1].body


async def test_many_wrong_passwords(controller: ServedController) -> None:
    """Guessing is stopped."""
    codes = set()
    for _ in range(12):
        answer = await controller.anonymous.ask("POST", "/login", {"email": "a@b.test", "password": "guess guess"})
        codes.add(answer.body["code"])
    assert codes == {"login_failed", "too_many_attempts"}


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic abc", "Bearer " + "x" * 300, "Bearer \u00e9", "Bearer wrong"]
)
async def test_bad_tokens(controller: ServedController, header: str) -> None:
    """What is no token of ours is refused."""
    answer = await controller.anonymous.ask("GET", "/sessions", headers={"Authorization": header})
    problem(answer, 401, "not_authenticated")
    strict(answer)


@pytest.mark.parametrize(
    ("role", "method", "path", "body"),
    [
        (Role.AUDITOR, "POST", "/sessions", session_body()),
        (Role.AUDITOR, "POST", "/dials", {"endpoint": ENDPOINT}),
        (Role.ENGINEER, "GET", "/audit/logs", None),
        (Role.ENGINEER, "GET", "/audit/logs/operator/entries", None),
        (Role.ENGINEER, "GET", "/sessions?all=true", None),
    ],
)
async def test_wrong_role(controller: ServedController, role: Role, method: str, path: str, body: Any) -> None:
    """What a role may not do is refused, and the refusal is logged."""
    person = await controller.person(role)
    problem(await person.ask(method, path, body), 403, "wrong_role")
    assert "permission.denied" in await events(controller, "operator")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (session_body(colour="red"), "colour"),
        (session_body(purpose="curiosity"), "purpose"),
        (session_body(purpose="support_request"), "ticket"),
        (session_body(note="call 0170 1234567"), "phone"),
        (session_body(duration_seconds=0), "duration_seconds"),
        (session_body(endpoint="UPPER"), "endpoint"),
        ([], "body"),
        ({}, "endpoint"),
    ],
)
async def test_bad_bodies(controller: ServedController, body: Any, word: str) -> None:
    """A wrong body is told where and why."""
    ann = await controller.person(Role.ENGINEER)
    assert word in problem(await ann.ask("POST", "/sessions", body), 422, "bad_request")["detail"]


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"data": b"{"}, 422, "bad_request"),
        ({"data": b"\xff\xfe"}, 422, "bad_request"),
        ({"data": b"[" * 50_000}, 422, "bad_request"),
        ({"data": b""}, 422, "bad_request"),
        ({"data": b'"' + b"x" * MAX_BODY_BYTES + b'"'}, 413, "too_large"),
        ({"data": b"{}", "headers": {"Content-Type": "text/plain"}}, 422, "bad_request"),
        (
            {"data": b"{}", "headers": {"Content-Type": "application/json", "Content-Encoding": "gzip"}},
            422,
            "bad_request",
        ),
        ({"data": b"{}", "headers": {"Expect": "200-ok", "Content-Type": "application/json"}}, 422, "bad_request"),
    ],
)
async def test_bodies_that_are_no_json(
    controller: ServedController, options: dict[str, Any], status: int, code: str
) -> None:
    """What is not a small JSON document is refused before anything is done with it."""
    options = {**options, "headers": {"Content-Type": "application/json", **options.get("headers", {})}}
    answer = await controller.anonymous.ask("POST", "/login", **options)
    problem(answer, status, code)
    strict(answer)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/sessions?limit=0", 422, "bad_request"),
        ("/sessions?limit=x", 422, "bad_request"),
        ("/sessions?limit=1&limit=2", 422, "bad_request"),
        ("/sessions?colour=red", 422, "bad_request"),
        ("/sessions/ses-aaaaaaaaaaaaaaaa?wait_seconds=31", 422, "bad_request"),
        ("/sessions/ses-aaaaaaaaaaaaaaaa", 404, "unknown_session"),
        ("/sessions/nonsense", 404, "not_found"),
        ("/sessions/%00", 404, "not_found"),
        ("/audit/logs/ses-aaaaaaaaaaaaaaaa/entries", 404, "not_found"),
        ("/audit/logs/cus-aaaaaaaaaaaaaaaa/entries", 404, "not_found"),
        ("/nothing", 404, "not_found"),
    ],
)
async def test_bad_paths_and_queries(controller: ServedController, path: str, status: int, code: str) -> None:
    """A wrong path or query is a problem of its kind."""
    admin = await controller.person(Role.ADMIN)
    answer = await admin.ask("GET", path)
    problem(answer, status, code)
    strict(answer)


async def test_method_not_allowed(controller: ServedController) -> None:
    """A wrong method is told which are right."""
    answer = await controller.anonymous.ask("PUT", "/login")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"


async def test_our_failure_tells_nothing(
    controller: ServedController, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake of our own is logged with its traceback, and its caller learns nothing of it."""

    async def fail(*_arguments: object) -> None:
        raise RuntimeError("the secret is 1234")

    ann = await controller.person(Role.ENGINEER)
    monkeypatch.setattr(SessionService, "list", fail)
    assert "1234" not in problem(await ann.ask("GET", "/sessions"), 500, "internal")["detail"]
    assert "GET /api/v1/sessions failed" in caplog.text
    assert "RuntimeError" in caplog.text
    caplog.clear()


async def test_whole_session(controller: ServedController) -> None:
    """Opened, granted, dialled, closed, ended: each step is answered, and stands in the customer's log."""
    ann = await controller.person(Role.ENGINEER)
    endpoint = await controller.endpoint()
    async with endpoint.connected() as channel:
        opened = await ann.ask("POST", "/sessions", session_body())
        assert (opened.status, opened.body["state"]) == (201, "requested")
        session = f"/sessions/{opened.body['id']}"
        waiting = asyncio.create_task(ann.get(session + "?wait_seconds=20"))
        assert await channel.grant() == opened.body["id"]
        assert (await waiting)["state"] == "granted"
        dialled = await ann.ask("POST", "/dials", {"endpoint": ENDPOINT})
        assert dialled.status == 200
        assert dialled.body["certificate"].startswith("ssh-ed25519-cert-v01@openssh.com ")
        assert (dialled.body["relay_host"], dialled.body["relay_port"]) == ("127.0.0.1", controller.bound.relay.port)
        assert (await channel.hear("dial_relay"))["dial_id"] == dialled.body["dial_id"]
        assert (await ann.ask("DELETE", session)).status == 200
        assert (await channel.hear("end_session"))["reason"] == "closed_by_engineer"
        ended = {
            "type": "session.ended",
            "session_id": opened.body["id"],
            "state": "closed",
            "reason": "closed_by_engineer",
            "processes_left": 0,
            "kill_milliseconds": 3,
        }
        await channel.report(ended)
        assert (await ann.get(session))["state"] == "closed"
        assert [view["online"] for view in (await ann.get("/endpoints"))["endpoints"]] == [True]
    logged = await events(controller, endpoint.enrolled.customer_id)
    assert [name for name in logged if name.startswith("session.")] == [
        "session.requested",
        "session.granted",
        "session.dialled",
        "session.close_requested",
        "session.ended",
    ]


async def test_auditor_reads(controller: ServedController) -> None:
    """An auditor lists logs, reads entries page by page, and each reading is in the log that was read."""
    endpoint = await controller.endpoint()
    odd = await controller.person(Role.AUDITOR)
    logs = (await odd.get("/audit/logs?operation=verify"))["logs"]
    assert {log["id"] for log in logs} == {"operator", endpoint.enrolled.customer_id}
    path = f"/audit/logs/{endpoint.enrolled.customer_id}"
    first = await odd.get(path + "/entries?limit=2")
    assert [entry["index"] for entry in first["entries"]] == [0, 1]
    rest = await odd.get(f"{path}/entries?start={first['next']}")
    assert rest["next"] is None
    keys = (await odd.get(path + "/journal-keys"))["keys"]
    assert [key["endpoint"] for key in keys] == [ENDPOINT]
    assert (await events(controller, endpoint.enrolled.customer_id))[-1] == "log.read"


async def test_nobody_sees_passwords_or_tokens(controller: ServedController, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the log of the service nor the database holds a password or a token."""
    caplog.set_level(logging.DEBUG)
    ann = await controller.person(Role.ENGINEER)
    assert ann.token is not None
    await ann.get("/endpoints")
    stored = b"".join(path.read_bytes() for path in controller.path.rglob("*") if path.is_file())
    for secret in (PASSWORD, ann.token):
        assert secret.encode() not in stored
        assert secret not in caplog.text
