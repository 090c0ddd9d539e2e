"""Signing in and out."""

from http import HTTPStatus
from typing import Any

from latchstring.controller.api.routes import Call, Nothing, Route
from latchstring.controller.api.services import Accounts
from latchstring.protocol.api import LoginRequest, LoginResponse
from latchstring.protocol.times import format_time


def login_routes(accounts: Accounts, *, ssh_host_ca: str) -> list[Route[Any, Any]]:
    """Return the routes of logins. ``ssh_host_ca`` is the authority that engineers' SSH clients are to trust."""

    async def login(call: Call[LoginRequest, Nothing]) -> LoginResponse:
        issued = await accounts.login(call.body.email, call.body.password, call.source)
        return LoginResponse(
            token=issued.token,
            expires_at=format_time(issued.expires_at),
            account_id=issued.actor.account_id,
            name=issued.actor.name,
            role=issued.actor.role,
            ssh_host_ca=ssh_host_ca,
        )

    async def logout(call: Call[Nothing, Nothing]) -> None:
        await accounts.logout(call.token, call.source)

    return [
        Route(
            method="POST",
            path="/login",
            operation_id="login",
            summary="Sign in with e-mail address and password.",
            handler=login,
            roles=None,
            body=LoginRequest,
            query=Nothing,
            answer=LoginResponse,
        ),
        Route(
            method="POST",
            path="/logout",
            operation_id="logout",
            summary="Sign out: the token is void from then on.",
            handler=logout,
            body=Nothing,
            query=Nothing,
            status=HTTPStatus.NO_CONTENT,
        ),
    ]
