"""The controller's API, typed with the models of ``protocol.api``; its problems become the client's errors."""

import ssl
from types import TracebackType
from typing import Final, Literal, Self, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, ValidationError

from latchstring.client.address import Address
from latchstring.client.errors import (
    ClientError,
    LoginNeededError,
    RefusedError,
    UnreachableError,
    one_line,
)
from latchstring.client.https_transport import ANSWER_SECONDS, MAX_ANSWER_BYTES, Answer, HttpsTransport, Request
from latchstring.protocol.api import (
    API_PREFIX,
    EndpointList,
    EntryPage,
    JournalKeyList,
    LoginRequest,
    LoginResponse,
    LogList,
    RootResponse,
    SessionList,
    SessionRequest,
    SessionView,
)
from latchstring.protocol.problems import ProblemCode, ProblemDetails

MAX_PAGE_BYTES: Final = 96 * 1024 * 1024
"""A page of entries at its largest: 1,000 entries of 64 KiB in base64."""

_SUCCESS: Final = range(200, 300)
_Model = TypeVar("_Model", bound=BaseModel)

Reading = Literal["list", "show", "verify"]


class ControllerApi:
    """One controller, and, after a login, one account there."""

    def __init__(self, address: Address, context: ssl.SSLContext, *, token: str | None = None, user: str = "") -> None:
        self._address = address
        self._transport = HttpsTransport(address, context)
        self._token = token
        self._user = user

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    def root(self) -> RootResponse:
        """Return the controller's name and root certificate; anybody may ask."""
        return self._get(RootResponse, "/root")

    def log_in(self, request: LoginRequest) -> LoginResponse:
        """Exchange a password for a token."""
        return self._send(LoginResponse, "POST", "/login", request)

    def log_out(self) -> None:
        """Give the token back."""
        self._expect_success(self._request("POST", "/logout"))

    def endpoints(self) -> EndpointList:
        """Return all endpoints."""
        return self._get(EndpointList, "/endpoints", limit=MAX_PAGE_BYTES)

    def sessions(self, *, limit: int, everybody: bool) -> SessionList:
        """Return sessions, newest first: one's own, or everybody's where the role allows that."""
        query = urlencode({"limit": limit, "all": "true" if everybody else "false"})
        return self._get(SessionList, f"/sessions?{query}", limit=MAX_PAGE_BYTES)

    def request_session(self, request: SessionRequest) -> SessionView:
        """Ask for a session."""
        return self._send(SessionView, "POST", "/sessions", request, subject=request.endpoint)

    def session(self, session_id: str, *, wait_seconds: int = 0) -> SessionView:
        """Return a session; at once if it waits for no decision, else when that changes or the wait is over."""
        query = f"?{urlencode({'wait_seconds': wait_seconds})}" if wait_seconds else ""
        answer = self._request("GET", f"/sessions/{session_id}{query}", answer_seconds=ANSWER_SECONDS + wait_seconds)
        return self._parse(SessionView, answer, subject=session_id)

    def close_session(self, session_id: str) -> SessionView:
        """Close a session, or withdraw the request."""
        return self._parse(SessionView, self._request("DELETE", f"/sessions/{session_id}"), subject=session_id)

    def logs(self, operation: Reading, *, session_id: str | None = None) -> LogList:
        """Return the logs that the account may read. The reading itself is logged before the answer."""
        query = urlencode({"operation": operation, **({"session": session_id} if session_id else {})})
        return self._get(LogList, f"/audit/logs?{query}")

    def entries(self, log_id: str, *, start: int, limit: int) -> EntryPage:
        """Return up to ``limit`` entries of a log from ``start`` on."""
        query = urlencode({"start": start, "limit": limit})
        return self._get(EntryPage, f"/audit/logs/{log_id}/entries?{query}", limit=MAX_PAGE_BYTES)

    def journal_keys(self, log_id: str) -> JournalKeyList:
        """Return the keys with which the customer's endpoints sign."""
        return self._get(JournalKeyList, f"/audit/logs/{log_id}/journal-keys")

    def _get(self, model: type[_Model], path: str, *, limit: int = MAX_ANSWER_BYTES) -> _Model:
        return self._parse(model, self._request("GET", path, limit=limit))

    def _send(self, model: type[_Model], method: str, path: str, body: BaseModel, *, subject: str = "") -> _Model:
        return self._parse(model, self._request(method, path, body=body.model_dump_json().encode()), subject=subject)

    def _request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        answer_seconds: float = ANSWER_SECONDS,
        limit: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        headers = {"Accept": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self._transport.send(Request(method, API_PREFIX + path, headers, body, answer_seconds, limit))

    def _parse(self, model: type[_Model], answer: Answer, *, subject: str = "") -> _Model:
        self._expect_success(answer, subject)
        try:
            return model.model_validate_json(answer.body)
        except ValidationError as error:
            raise UnreachableError(
                f"the answer of {self._address.authority} is not understood: is it a controller of this version?"
            ) from error

    def _expect_success(self, answer: Answer, subject: str = "") -> None:
        if answer.status in _SUCCESS:
            return
        try:
            problem = ProblemDetails.model_validate_json(answer.body)
        except ValidationError as error:
            raise UnreachableError(
                f"{self._address.authority} answered {answer.status} without saying why: is it a controller?"
            ) from error
        raise self._error(problem, subject)

    def _error(self, problem: ProblemDetails, subject: str) -> ClientError:
        """Return the error for a problem; its line names the endpoint or session that it is about."""
        said = one_line(problem.detail)
        detail = said if subject in said else f"{subject}: {said}"
        match problem.code:
            case ProblemCode.LOGIN_EXPIRED:
                return LoginNeededError(f"your login has expired: run `{self._login_command}`")
            case ProblemCode.NOT_AUTHENTICATED:
                return LoginNeededError(f"your login is not valid: run `{self._login_command}`")
            case ProblemCode.WRONG_ROLE | ProblemCode.REFUSED | ProblemCode.TOO_MANY_SESSIONS:
                return RefusedError(detail)
            case ProblemCode.ENDPOINT_OFFLINE:
                return UnreachableError(detail)
            case _:
                return ClientError(detail)

    @property
    def _login_command(self) -> str:
        return f"latch login {self._address.url} --user {self._user}"
