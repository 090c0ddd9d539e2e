"""Every failure leaves as problem details (RFC 9457), those of aiohttp itself included, and none tells too much."""

import asyncio
import logging
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from latchstring.controller.errors import LogDamagedError, StoreUnavailableError
from latchstring.protocol.api import MAX_BODY_BYTES
from latchstring.protocol.problems import CONTENT_TYPE, ProblemCode, ProblemError

_log = logging.getLogger(__name__)

BUSY_RETRY_SECONDS: Final = 5
_FROM_AIOHTTP: Final = MappingProxyType(
    {
        HTTPStatus.NOT_FOUND: (ProblemCode.NOT_FOUND, "there is nothing at this path"),
        HTTPStatus.METHOD_NOT_ALLOWED: (ProblemCode.METHOD_NOT_ALLOWED, "this path does not know this method"),
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
            ProblemCode.TOO_LARGE,
            f"a request's body has at most {MAX_BODY_BYTES} bytes",
        ),
    }
)
_HEADERS: Final[Mapping[ProblemCode, Mapping[str, str]]] = MappingProxyType(
    {
        ProblemCode.NOT_AUTHENTICATED: {hdrs.WWW_AUTHENTICATE: "Bearer"},
        ProblemCode.LOGIN_FAILED: {hdrs.WWW_AUTHENTICATE: "Bearer"},
        ProblemCode.LOGIN_EXPIRED: {hdrs.WWW_AUTHENTICATE: 'Bearer error="invalid_token"'},
        ProblemCode.BUSY: {hdrs.RETRY_AFTER: str(BUSY_RETRY_SECONDS)},
        ProblemCode.LOG_UNAVAILABLE: {hdrs.RETRY_AFTER: str(BUSY_RETRY_SECONDS)},
    }
)


def problem_response(problem: ProblemError, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return the answer that tells of ``problem``."""
    details = problem.details()
    return web.Response(
        body=details.model_dump_json().encode(),
        status=details.status,
        content_type=CONTENT_TYPE,
        headers={**_HEADERS.get(problem.code, {}), **(headers or {})},
    )


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever goes wrong into problem details."""
    try:
        return await handler(request)
    except ProblemError as problem:
        return problem_response(problem)
    except LogDamagedError as error:
        # Which log it is, is nothing for those who may not read it.
        _log.error("%s %s failed: %s", request.method, _template(request), error)
        return problem_response(StoreUnavailableError())
    except web.HTTPException as error:
        return _from_aiohttp(error)
    except (web.RequestPayloadError, ConnectionError):
        return problem_response(ProblemError(ProblemCode.BAD_REQUEST, "the request's body did not arrive whole"))
    except asyncio.CancelledError:
        raise
    except Exception:  # noqa: BLE001 - the last resort: whatever it is, it is logged here and told to nobody
        _log.exception("%s %s failed", request.method, _template(request))
        return problem_response(ProblemError(ProblemCode.INTERNAL, "the controller failed; its log says why"))


def _from_aiohttp(error: web.HTTPException) -> web.Response:
    code, detail = _FROM_AIOHTTP.get(
        HTTPStatus(error.status), (ProblemCode.BAD_REQUEST, "the request cannot be understood")
    )
    allow = error.headers.get(hdrs.ALLOW)
    return problem_response(ProblemError(code, detail), {hdrs.ALLOW: allow} if allow is not None else None)


def _template(request: web.Request) -> str:
    """Return the route's path, without what a stranger put into it."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown path"
