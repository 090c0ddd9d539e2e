"""Problem details (RFC 9457): every failure that the API answers with, with a stable code."""

from enum import StrEnum
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel, ConfigDict

CONTENT_TYPE: Final = "application/problem+json"


class ProblemCode(StrEnum):
    """Stable codes; a client decides by these, never by the text."""

    BAD_REQUEST = "bad_request"
    NOT_AUTHENTICATED = "not_authenticated"
    LOGIN_FAILED = "login_failed"
    LOGIN_EXPIRED = "login_expired"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    WRONG_ROLE = "wrong_role"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    UNKNOWN_ENDPOINT = "unknown_endpoint"
    UNKNOWN_SESSION = "unknown_session"
    ENDPOINT_OFFLINE = "endpoint_offline"
    NO_LIVE_SESSION = "no_live_session"
    SESSION_ENDED = "session_ended"
    REFUSED = "refused"
    TOO_MANY_SESSIONS = "too_many_sessions"
    TOO_MANY_REQUESTS = "too_many_requests"
    ENROLMENT_REFUSED = "enrolment_refused"
    TOO_LARGE = "too_large"
    LOG_UNAVAILABLE = "log_unavailable"
    BUSY = "busy"
    INTERNAL = "internal"


STATUSES: Final = MappingProxyType(
    {
        ProblemCode.BAD_REQUEST: HTTPStatus.UNPROCESSABLE_ENTITY,
        ProblemCode.NOT_AUTHENTICATED: HTTPStatus.UNAUTHORIZED,
        ProblemCode.LOGIN_FAILED: HTTPStatus.UNAUTHORIZED,
        ProblemCode.LOGIN_EXPIRED: HTTPStatus.UNAUTHORIZED,
        ProblemCode.TOO_MANY_ATTEMPTS: HTTPStatus.TOO_MANY_REQUESTS,
        ProblemCode.WRONG_ROLE: HTTPStatus.FORBIDDEN,
        ProblemCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
        ProblemCode.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
        ProblemCode.UNKNOWN_ENDPOINT: HTTPStatus.NOT_FOUND,
        ProblemCode.UNKNOWN_SESSION: HTTPStatus.NOT_FOUND,
        ProblemCode.ENDPOINT_OFFLINE: HTTPStatus.CONFLICT,
        ProblemCode.NO_LIVE_SESSION: HTTPStatus.CONFLICT,
        ProblemCode.SESSION_ENDED: HTTPStatus.CONFLICT,
        ProblemCode.REFUSED: HTTPStatus.CONFLICT,
        ProblemCode.TOO_MANY_SESSIONS: HTTPStatus.CONFLICT,
        ProblemCode.TOO_MANY_REQUESTS: HTTPStatus.TOO_MANY_REQUESTS,
        ProblemCode.ENROLMENT_REFUSED: HTTPStatus.FORBIDDEN,
        ProblemCode.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        ProblemCode.LOG_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
        ProblemCode.BUSY: HTTPStatus.SERVICE_UNAVAILABLE,
        ProblemCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)


class ProblemDetails(BaseModel):
    """The body of a failure. ``detail`` says what is wrong and what to do."""

    model_config = ConfigDict(frozen=True)

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: ProblemCode


class ProblemError(Exception):
    """A failure on its way to the answer."""

    def __init__(self, code: ProblemCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail

    def details(self) -> ProblemDetails:
        """Return the body of the answer."""
        status = STATUSES[self.code]
        return ProblemDetails(title=status.phrase, status=int(status), detail=self.detail, code=self.code)
