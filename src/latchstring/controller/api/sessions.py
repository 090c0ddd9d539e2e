"""Endpoints, sessions and dials: what engineers do."""

from http import HTTPStatus
from typing import Annotated, Any, Final

from pydantic import Field

from latchstring.controller.api.routes import Call, Nothing, Route
from latchstring.controller.api.services import Dials, Endpoints, Sessions
from latchstring.protocol.api import (
    DialRequest,
    DialResponse,
    EndpointList,
    SessionList,
    SessionRequest,
    SessionView,
)
from latchstring.protocol.events import Role
from latchstring.protocol.grants import Frozen
from latchstring.protocol.ids import SessionId

MAX_WAIT_SECONDS: Final = 30
MAX_SESSIONS: Final = 500
_OPENERS: Final = frozenset({Role.ENGINEER, Role.ADMIN})
_SESSION_PATH: Final = "/sessions/{id}"


class SessionListQuery(Frozen):
    """Which sessions: ``all`` is everybody's, which needs the role auditor or admin."""

    limit: Annotated[int, Field(ge=1, le=MAX_SESSIONS)] = 50
    all: bool = False


class WaitQuery(Frozen):
    """How long to wait while the session has no decision yet."""

    wait_seconds: Annotated[int, Field(ge=0, le=MAX_WAIT_SECONDS)] = 0


def endpoint_routes(endpoints: Endpoints) -> list[Route[Any, Any]]:
    """Return the routes of endpoints."""

    async def list_endpoints(_call: Call[Nothing, Nothing]) -> EndpointList:
        return await endpoints.list()

    return [
        Route(
            method="GET",
            path="/endpoints",
            operation_id="list_endpoints",
            summary="List the endpoints.",
            handler=list_endpoints,
            body=Nothing,
            query=Nothing,
            answer=EndpointList,
        )
    ]


def session_routes(sessions: Sessions) -> list[Route[Any, Any]]:
    """Return the routes of sessions."""

    async def open_session(call: Call[SessionRequest, Nothing]) -> SessionView:
        return await sessions.request(call.actor, call.body)

    async def list_sessions(call: Call[Nothing, SessionListQuery]) -> SessionList:
        return await sessions.list(call.actor, call.query.limit, call.query.all)

    async def show_session(call: Call[Nothing, WaitQuery]) -> SessionView:
        if call.query.wait_seconds == 0:
            return await sessions.view(call.actor, call.path["id"])
        return await sessions.wait_while_waiting(call.actor, call.path["id"], call.query.wait_seconds)

    async def close_session(call: Call[Nothing, Nothing]) -> SessionView:
        return await sessions.close(call.actor, call.path["id"])

    return [
        Route(
            method="POST",
            path="/sessions",
            operation_id="open_session",
            summary="Ask for a session. The customer's side decides.",
            handler=open_session,
            roles=_OPENERS,
            body=SessionRequest,
            query=Nothing,
            answer=SessionView,
            status=HTTPStatus.CREATED,
        ),
        Route(
            method="GET",
            path="/sessions",
            operation_id="list_sessions",
            summary="List sessions, newest first.",
            handler=list_sessions,
            body=Nothing,
            query=SessionListQuery,
            answer=SessionList,
        ),
        Route(
            method="GET",
            path=_SESSION_PATH,
            operation_id="show_session",
            summary="Show a session, after waiting for its decision if asked to.",
            handler=show_session,
            path_parameters={"id": SessionId},
            body=Nothing,
            query=WaitQuery,
            answer=SessionView,
        ),
        Route(
            method="DELETE",
            path=_SESSION_PATH,
            operation_id="close_session",
            summary="End a session, or take its request back.",
            handler=close_session,
            roles=_OPENERS,
            path_parameters={"id": SessionId},
            body=Nothing,
            query=Nothing,
            answer=SessionView,
        ),
    ]


def dial_routes(dials: Dials) -> list[Route[Any, Any]]:
    """Return the routes of dials."""

    async def dial(call: Call[DialRequest, Nothing]) -> DialResponse:
        return await dials.dial(call.actor, call.body)

    return [
        Route(
            method="POST",
            path="/dials",
            operation_id="dial",
            summary="Connect to an endpoint, in the newest live session there.",
            handler=dial,
            roles=_OPENERS,
            body=DialRequest,
            query=Nothing,
            answer=DialResponse,
        )
    ]
