"""What anybody may ask without a login: the root, enrolment, health, and the description of the API itself."""

from typing import Any

from pydantic import RootModel

from latchstring.controller.api.openapi import openapi_document
from latchstring.controller.api.routes import Call, Nothing, Route
from latchstring.controller.api.services import Enrolment
from latchstring.protocol.api import API_PREFIX, RootResponse
from latchstring.protocol.enrolment import EnrolmentRequest, EnrolmentResponse
from latchstring.protocol.grants import Frozen


class Health(Frozen):
    """The controller is up."""

    status: str = "ok"


class OpenApiDocument(RootModel[dict[str, Any]]):
    """An OpenAPI 3.1 document."""


def public_routes(enrolment: Enrolment, root: RootResponse) -> list[Route[Any, Any]]:
    """Return the routes that are open, but for the login and the description."""

    async def show_root(_call: Call[Nothing, Nothing]) -> RootResponse:
        return root

    async def enrol(call: Call[EnrolmentRequest, Nothing]) -> EnrolmentResponse:
        return await enrolment.enrol(call.body, call.source)

    async def show_health(_call: Call[Nothing, Nothing]) -> Health:
        return Health()

    return [
        Route(
            method="GET",
            path="/root",
            operation_id="show_root",
            summary="Show the root certificate, to compare its fingerprint with one that is known.",
            handler=show_root,
            roles=None,
            body=Nothing,
            query=Nothing,
            answer=RootResponse,
        ),
        Route(
            method="POST",
            path="/enrol",
            operation_id="enrol",
            summary="Take up an invitation with an endpoint's public keys.",
            handler=enrol,
            roles=None,
            body=EnrolmentRequest,
            query=Nothing,
            answer=EnrolmentResponse,
        ),
        Route(
            method="GET",
            path="/healthz",
            operation_id="show_health",
            summary="Tell that the controller is up.",
            handler=show_health,
            roles=None,
            body=Nothing,
            query=Nothing,
            answer=Health,
        ),
    ]


def described(routes: list[Route[Any, Any]], *, version: str) -> list[Route[Any, Any]]:
    """Return ``routes`` and the route that describes them all, itself included."""

    async def show_openapi(_call: Call[Nothing, Nothing]) -> OpenApiDocument:
        return document

    complete = [
        *routes,
        Route(
            method="GET",
            path="/openapi.json",
            operation_id="show_openapi",
            summary="Describe this API.",
            handler=show_openapi,
            roles=None,
            body=Nothing,
            query=Nothing,
            answer=OpenApiDocument,
        ),
    ]
    document = OpenApiDocument(openapi_document(complete, version=version, prefix=API_PREFIX))
    return complete
