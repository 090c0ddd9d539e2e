"""What a control channel needs of the services."""

from collections.abc import Sequence
from typing import Protocol

from latchstring.protocol.messages import FromController, Hello, Welcome
from latchstring.protocol.statements import SignedStatement


class HelloAnswer(Protocol):
    """How the services answer a hello."""

    @property
    def welcome(self) -> Welcome:
        """To be sent first."""

    @property
    def messages(self) -> tuple[FromController, ...]:
        """To be sent behind it, in order."""

    @property
    def connection(self) -> int:
        """Tells this connection from the endpoint's others."""


class Reports(Protocol):
    """Takes what endpoints report."""

    async def hello(self, endpoint_id: str, hello: Hello, source: str) -> HelloAnswer:
        """Answer an endpoint that introduces itself.

        Raises:
            HelloRefusedError: it may not connect.
            StoreUnavailableError: this cannot be logged now.
        """

    async def accept(self, endpoint_id: str, reports: Sequence[SignedStatement]) -> int:
        """Make reports durable, in order, and return the sequence that is wanted next.

        Raises:
            ReportError: one was refused; those before it were taken.
            StoreUnavailableError: none was taken.
        """

    async def disconnected(self, endpoint_id: str, connection: int) -> None:
        """Note that a connection went down. It never raises for what cannot be logged."""


class Renewals(Protocol):
    """Renews tunnel certificates."""

    async def renew(self, endpoint_id: str, signing_request: str) -> str:
        """Return the new certificate in PEM.

        Raises:
            CertificateRequestError: the request is malformed.
            HelloRefusedError: the endpoint was revoked.
            StoreUnavailableError: this cannot be logged now.
        """
