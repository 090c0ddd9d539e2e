"""What a route is: everything that both the server and the OpenAPI document need to know of one operation."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel

from latchstring.controller.accounts.actor import Actor
from latchstring.protocol.events import Role
from latchstring.protocol.grants import Frozen


class Nothing(Frozen):
    """No body, or no query."""


Body = TypeVar("Body", bound=BaseModel)
Query = TypeVar("Query", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call(Generic[Body, Query]):
    """One request, checked against its route.

    Attributes:
        source: IP address of the socket's other end.
        token: the bearer token, as it was sent; empty on an open route.
    """

    source: str
    body: Body
    query: Query
    path: Mapping[str, str]
    unchecked_actor: Actor | None = None
    token: str = field(default="", repr=False)

    @property
    def actor(self) -> Actor:
        """Who asks; only on routes that need a login."""
        if self.unchecked_actor is None:
            raise RuntimeError("an open route has no actor")
        return self.unchecked_actor


EVERYBODY: Final = frozenset(Role)
"""Every role: a login is needed, and suffices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[Body, Query]):
    """One operation of the API.

    Attributes:
        operation_id: a stable name in snake case.
        roles: who may call it; None is everybody, without a login.
        path_parameters: name to type, as pydantic takes it.
        answer: the model of the answer; None for an answer without a body.
    """

    method: str
    path: str
    operation_id: str
    summary: str
    handler: Callable[[Call[Body, Query]], Awaitable[BaseModel | None]]
    body: type[Body]
    query: type[Query]
    roles: frozenset[Role] | None = EVERYBODY
    path_parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    answer: type[BaseModel] | None = None
    status: HTTPStatus = HTTPStatus.OK
