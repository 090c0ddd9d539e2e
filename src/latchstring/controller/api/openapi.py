"""The OpenAPI 3.1 document, generated from the routes and their pydantic models."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from latchstring.controller.api.routes import Nothing, Route
from latchstring.protocol.problems import CONTENT_TYPE, ProblemDetails

AnyRoute = Route[Any, Any]

_REFERENCE: Final = "#/components/schemas/{model}"
_BEARER: Final = "bearer"
_JSON: Final = "application/json"


def openapi_document(routes: Sequence[AnyRoute], *, version: str, prefix: str) -> dict[str, Any]:
    """Return the document for ``routes``, whose paths stand below ``prefix``."""
    models = _models(routes)
    references, definitions = models_json_schema(
        [(model, mode) for model, mode in models], ref_template=_REFERENCE, title=None
    )
    schemas = {model: schema for (model, _), schema in references.items()}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Latchstring controller",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": prefix}],
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {_BEARER: {"type": "http", "scheme": "bearer"}},
        },
    }


def _models(routes: Iterable[AnyRoute]) -> dict[tuple[type[BaseModel], Any], None]:
    """Return each model with the side that it is seen from, in order, without repetition."""
    models: dict[tuple[type[BaseModel], Any], None] = {(ProblemDetails, "serialization"): None}
    for route in routes:
        if route.body is not Nothing:
            models[route.body, "validation"] = None
        if route.answer is not None:
            models[route.answer, "serialization"] = None
    return models


def _operation(route: AnyRoute, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.answer is not None:
        success["content"] = {_JSON: {"schema": schemas[route.answer]}}
    problem = {
        "description": "Problem details (RFC 9457)",
        "content": {CONTENT_TYPE: {"schema": schemas[ProblemDetails]}},
    }
    operation: dict[str, Any] = {
        "operationId": route.operation_id,
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route.query)],
        "responses": {str(int(route.status)): success, "4XX": problem, "5XX": problem},
        "security": [] if route.roles is None else [{_BEARER: []}],
    }
    if route.roles is not None:
        operation["description"] = f"Roles: {', '.join(sorted(route.roles))}."
    if route.body is not Nothing:
        operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": schemas[route.body]}}}
    return operation


def _path_parameters(route: AnyRoute) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": TypeAdapter(kind).json_schema()}
        for name, kind in route.path_parameters.items()
    ]


def _query_parameters(query: type[BaseModel]) -> list[dict[str, Any]]:
    schema = query.model_json_schema()
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _inlined(property_, schema)}
        for name, property_ in schema.get("properties", {}).items()
    ]


def _inlined(property_: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return a property's schema with a reference to a local definition put in its place."""
    reference = property_.get("$ref")
    if reference is None:
        return property_
    inlined: dict[str, Any] = schema["$defs"][reference.rpartition("/")[2]]
    return inlined
