"""Reads a request: body, query, path and bearer token, each within limits and against its model."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from aiohttp import hdrs, web
from pydantic import BaseModel, TypeAdapter, ValidationError

from latchstring.protocol.problems import ProblemCode, ProblemError

BODY_SECONDS: Final = 10.0
MAX_TOKEN: Final = 200
_JSON: Final = "application/json"
_SCHEME: Final = "bearer "

Model = TypeVar("Model", bound=BaseModel)


async def read_body(request: web.Request, model: type[Model]) -> Model:
    """Return the request's body as ``model``.

    Raises:
        ProblemError: it is not JSON, not of this form, or did not come in time.
        web.HTTPRequestEntityTooLarge: it is too long.
    """
    if not model.model_fields:
        return model()
    if request.content_type != _JSON or hdrs.CONTENT_ENCODING in request.headers:
        raise ProblemError(ProblemCode.BAD_REQUEST, "the body must be application/json, and not compressed")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            data = await request.read()
    except TimeoutError as error:
        raise ProblemError(
            ProblemCode.BAD_REQUEST, f"the body did not arrive within {BODY_SECONDS:.0f} seconds"
        ) from error
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise ProblemError(ProblemCode.BAD_REQUEST, explain(error, "body")) from error


def read_query(request: web.Request, model: type[Model]) -> Model:
    """Return the request's query as ``model``.

    Raises:
        ProblemError: it is not of this form, or names a parameter twice.
    """
    query = request.query
    if len(query) != len(set(query)):
        raise ProblemError(ProblemCode.BAD_REQUEST, "a query parameter is given twice")
    try:
        return model.model_validate_strings(dict(query))
    except ValidationError as error:
        raise ProblemError(ProblemCode.BAD_REQUEST, explain(error, "query")) from error


def read_path(request: web.Request, parameters: Mapping[str, TypeAdapter[Any]]) -> dict[str, str]:
    """Return the path's parameters.

    Raises:
        ProblemError: one has not its form, so that nothing can be there.
    """
    try:
        return {name: adapter.validate_python(request.match_info[name]) for name, adapter in parameters.items()}
    except ValidationError as error:
        raise ProblemError(ProblemCode.NOT_FOUND, "there is nothing at this path") from error


def read_token(request: web.Request) -> str:
    """Return the bearer token (RFC 6750).

    Raises:
        ProblemError: there is none.
    """
    headers = request.headers.getall(hdrs.AUTHORIZATION, [])
    if len(headers) != 1 or not headers[0].lower().startswith(_SCHEME):
        raise ProblemError(ProblemCode.NOT_AUTHENTICATED, "sign in first: this needs a bearer token")
    token = headers[0][len(_SCHEME) :].strip()
    if not token or len(token) > MAX_TOKEN or not token.isascii():
        raise ProblemError(ProblemCode.NOT_AUTHENTICATED, "the bearer token has not its form: sign in again")
    return token


def explain(error: ValidationError, whole: str) -> str:
    """Return the first thing that is wrong: where, and why, and nothing of what was sent."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part)[:64] for part in first["loc"]) or whole
    if first["type"] == "extra_forbidden":
        return f"{place}: there is no such field"
    if first["type"] == "json_invalid":
        return "the body is not JSON"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"[:400]
