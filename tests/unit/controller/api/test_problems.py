"""What a failure in a service becomes."""

import json
import logging

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from latchstring.controller.api.problems import answer_problems
from latchstring.controller.errors import LogDamagedError


async def test_damaged_log_is_no_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    """Where a log is damaged it is unavailable; the administrator reads which in one line, a caller does not."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        raise LogDamagedError("log cus-a is damaged: its head is malformed")

    answer = await answer_problems(make_mocked_request("POST", "/api/v1/login"), handler)
    assert isinstance(answer, web.Response)
    assert isinstance(answer.body, bytes)
    assert (answer.status, json.loads(answer.body)["code"]) == (503, "log_unavailable")
    assert b"cus-a" not in answer.body
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "cus-a" in errors[0].getMessage()
    assert errors[0].exc_info is None
