"""Makes the aiohttp application from the table of routes: authentication, roles, reading, answering, headers."""

from collections.abc import Iterable
from typing import Any, Final, Protocol

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, TypeAdapter

from latchstring.controller.accounts.actor import Actor
from latchstring.controller.api.problems import answer_problems
from latchstring.controller.api.reading import read_body, read_path, read_query, read_token
from latchstring.controller.api.routes import Call, Route
from latchstring.controller.https.admission import source_of
from latchstring.protocol.api import API_PREFIX, MAX_BODY_BYTES
from latchstring.protocol.problems import ProblemCode, ProblemError

AnyRoute = Route[Any, Any]

_HEADERS: Final = {
    hdrs.CACHE_CONTROL: "no-store",
    hdrs.X_CONTENT_TYPE_OPTIONS: "nosniff",
    hdrs.CONTENT_SECURITY_POLICY: "default-src 'none'; frame-ancestors 'none'",
    hdrs.REFERRER_POLICY: "no-referrer",
}


class Gate(Protocol):
    """Says who calls, and remembers who was turned away."""

    async def authenticate(self, token: str, source: str) -> Actor:
        """Return who holds a token.

        Raises:
            ProblemError: there is none, or the login has expired.
        """

    async def deny(self, actor: Actor, operation: str) -> None:
        """Log that somebody asked for what their role does not allow."""


def make_application(routes: Iterable[AnyRoute], gate: Gate) -> web.Application:
    """Return the application that serves ``routes`` below the API's prefix."""
    application = web.Application(middlewares=[answer_problems], client_max_size=MAX_BODY_BYTES)
    application.on_response_prepare.append(set_headers)
    for route in routes:
        application.router.add_route(
            route.method, API_PREFIX + route.path, _handler(route, gate), expect_handler=_expect
        )
    return application


async def set_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Set what every answer carries, and drop what tells of our software."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.popall(hdrs.SERVER, None)


async def _expect(request: web.Request) -> None:
    """Answer ``Expect: 100-continue``; other expectations may be ignored (RFC 9110, section 10.1.1)."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _handler(route: AnyRoute, gate: Gate) -> Handler:
    parameters = {name: TypeAdapter(kind) for name, kind in route.path_parameters.items()}

    async def handle(request: web.Request) -> web.StreamResponse:
        source = source_of(request.transport.get_extra_info("peername") if request.transport is not None else None)
        token, actor = "", None
        if route.roles is not None:
            token = read_token(request)
            actor = await gate.authenticate(token, source)
            await _check_role(route, actor, gate)
        call = Call(
            source=source,
            path=read_path(request, parameters),
            query=read_query(request, route.query),
            body=await read_body(request, route.body),
            unchecked_actor=actor,
            token=token,
        )
        return _answer(route, await _call_handler(route, call, gate))

    return handle


async def _call_handler(route: AnyRoute, call: Call[Any, Any], gate: Gate) -> BaseModel | None:
    """Call the handler; what a service refuses because of the role is logged as what the route itself refuses."""
    try:
        return await route.handler(call)
    except ProblemError as problem:
        if problem.code is ProblemCode.WRONG_ROLE and call.unchecked_actor is not None:
            await gate.deny(call.unchecked_actor, route.operation_id)
        raise


async def _check_role(route: AnyRoute, actor: Actor, gate: Gate) -> None:
    if route.roles is None or actor.role in route.roles:
        return
    await gate.deny(actor, route.operation_id)
    needed = " or ".join(sorted(route.roles))
    raise ProblemError(ProblemCode.WRONG_ROLE, f"this needs the role {needed}; yours is {actor.role}")


def _answer(route: AnyRoute, answer: BaseModel | None) -> web.Response:
    if answer is None:
        return web.Response(status=route.status)
    return web.Response(body=answer.model_dump_json().encode(), status=route.status, content_type="application/json")
