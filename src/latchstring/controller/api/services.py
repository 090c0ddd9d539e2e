"""What the API's handlers need of the services, by the shapes that they use."""

from datetime import datetime
from typing import Literal, Protocol

from latchstring.controller.accounts.actor import Actor
from latchstring.protocol.api import (
    DialRequest,
    DialResponse,
    EndpointList,
    EntryPage,
    JournalKeyList,
    LogList,
    SessionList,
    SessionRequest,
    SessionView,
)
from latchstring.protocol.enrolment import EnrolmentRequest, EnrolmentResponse

LogOperation = Literal["list", "show", "verify"]


class IssuedToken(Protocol):
    """A login that succeeded."""

    @property
    def token(self) -> str:
        """The bearer token, which is shown once."""

    @property
    def expires_at(self) -> datetime:
        """When the token ends."""

    @property
    def actor(self) -> Actor:
        """Who signed in."""


class Accounts(Protocol):
    """Logins."""

    async def login(self, email: str, password: str, source: str) -> IssuedToken:
        """Sign in."""

    async def authenticate(self, token: str, source: str) -> Actor:
        """Return who holds a token."""

    async def logout(self, token: str, source: str) -> None:
        """Void a token."""

    async def deny(self, actor: Actor, operation: str) -> None:
        """Log a refusal."""


class Sessions(Protocol):
    """Sessions, as engineers and auditors may touch them."""

    async def request(self, actor: Actor, request: SessionRequest) -> SessionView:
        """Ask for a session."""

    async def view(self, actor: Actor, session_id: str) -> SessionView:
        """Return a session."""

    async def list(self, actor: Actor, limit: int, everybody: bool) -> SessionList:  # noqa: FBT001 - the service's shape
        """Return the newest sessions."""

    async def wait_while_waiting(self, actor: Actor, session_id: str, seconds: float) -> SessionView:
        """Return a session once it is decided, or after ``seconds``."""

    async def close(self, actor: Actor, session_id: str) -> SessionView:
        """End a session, or take its request back."""


class Dials(Protocol):
    """Connections to endpoints."""

    async def dial(self, actor: Actor, request: DialRequest) -> DialResponse:
        """Bring an engineer and an endpoint together."""


class Endpoints(Protocol):
    """The endpoints."""

    async def list(self) -> EndpointList:
        """Return all."""


class Enrolment(Protocol):
    """Takes up invitations."""

    async def enrol(self, request: EnrolmentRequest, source: str) -> EnrolmentResponse:
        """Enrol a machine."""


class Logs(Protocol):
    """The audit logs. Each reading is logged before it is answered."""

    async def list_logs(self, actor: Actor, operation: LogOperation, session_id: str | None) -> LogList:
        """Return the logs that the actor may read."""

    async def entries(self, actor: Actor, log_id: str, start: int, limit: int) -> EntryPage:
        """Return a page of entries."""

    async def journal_keys(self, actor: Actor, log_id: str) -> JournalKeyList:
        """Return the journal keys that a log's statements are signed with."""
