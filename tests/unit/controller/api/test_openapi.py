"""Tests of the OpenAPI document: valid, complete, and true of the server that it describes."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.config import ChecksConfig, ProjectConfig, ProjectsConfig
from schemathesis.config._checks import NegativeDataRejectionConfig
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from latchstring.protocol.events import Role
from served_controller import Api, ServedController, serving

EXAMPLES = 20


class Server:
    """A controller on an event loop in another thread, since schemathesis asks synchronously."""

    def __init__(self, loop: asyncio.AbstractEventLoop, controller: ServedController, admin: Api) -> None:
        self.loop = loop
        self.controller = controller
        self.admin = admin

    def login(self) -> str:
        """Return a fresh token of the administrator."""
        again = asyncio.run_coroutine_threadsafe(self.controller.anonymous.login("admin@example.test"), self.loop)
        token = again.result(30).token
        assert token is not None
        return token

    def get(self, path: str) -> Any:
        """Get what is there."""
        return asyncio.run_coroutine_threadsafe(self.controller.anonymous.get(path), self.loop).result(30)


@contextmanager
def server(path: Path) -> Iterator[Server]:
    """Run a controller in a thread."""
    started: Future[Server] = Future()
    stop = threading.Event()

    async def run() -> None:
        async with serving(path) as controller:
            admin = await controller.person(Role.ADMIN)
            started.set_result(Server(asyncio.get_running_loop(), controller, admin))
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        yield started.result(30)
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Server]:
    """A controller that serves."""
    with server(tmp_path / "data") as running:
        yield running


def test_valid(served: Server) -> None:
    """The document is OpenAPI 3.1, and has every operation once."""
    document = served.get("/openapi.json")
    validate(document)
    operations = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(operations) == len(set(operations))
    assert {"login", "enrol", "open_session", "dial", "list_entries", "show_openapi"} <= set(operations)
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["security"] in ([], [{"bearer": []}])
            assert set(operation["operationId"]) <= set("abcdefghijklmnopqrstuvwxyz_")


def configuration() -> schemathesis.Config:
    """Return schemathesis' configuration: a body that is too long may be refused for that before it is looked at."""
    refused = NegativeDataRejectionConfig()
    refused.expected_statuses = [*refused.expected_statuses, "413"]
    return schemathesis.Config(
        projects=ProjectsConfig(default=ProjectConfig(checks=ChecksConfig(negative_data_rejection=refused)))
    )


def ask(served: Server, strategy: st.SearchStrategy[Any]) -> int:
    """Ask what the strategy draws, as an administrator; return how many questions that were."""
    token = served.login()
    asked = 0

    @given(case=strategy)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    def ask_one(case: Any) -> None:
        nonlocal asked
        # What is sent for such a value is nothing at all, so that the query is in the document's form after all.
        assume(not any(value in (None, [], {}) for value in (case.query or {}).values()))
        asked += 1
        case.call_and_validate(
            base_url=served.admin.url,
            headers={"Authorization": f"Bearer {token}"},
            verify=str(served.controller.path / "keys" / "root.pem"),
            # A schema cannot say that a purpose needs a ticket, or that a note must not look like content.
            excluded_checks=[positive_data_acceptance],
        )

    ask_one()
    return asked


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_true(served: Server, mode: GenerationMode, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is sent, in the document's form or not, the answer is one that the document tells of, and no 5xx."""
    schema = schemathesis.openapi.from_dict(served.get("/openapi.json"), config=configuration())
    asked = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        if mode is GenerationMode.POSITIVE or operation.body or operation.query:
            asked += ask(served, operation.as_strategy(generation_mode=mode))
    assert asked >= EXAMPLES
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
