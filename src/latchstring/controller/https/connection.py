"""One HTTP connection: aiohttp's, with limits on what a stranger sends and quiet about what a stranger gets wrong."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from latchstring.protocol.problems import CONTENT_TYPE, ProblemCode, ProblemError

MAX_LINE_BYTES: Final = 4096
MAX_FIELD_BYTES: Final = 4096
MAX_HEADERS: Final = 64
IDLE_SECONDS: Final = 30.0
LINGER_SECONDS: Final = 2.0
_REMOTE_FAULTS: Final = (HttpProcessingError, web.RequestPayloadError, ConnectionError, ssl.SSLError, TimeoutError)

_log = logging.getLogger(__name__)


class BareResponse(web.Response):
    """A response that does not tell which software sent it, for the few that no application prepares."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Server", None)


class HttpConnection(web.RequestHandler):
    """Serves one connection for ``server``, the low-level server of an application.

    A request's line and headers must arrive within :data:`IDLE_SECONDS` of the connection or of the last answer.
    """

    __slots__ = ("_on_gone",)

    def __init__(self, server: web.Server, on_gone: Callable[[], None]) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=IDLE_SECONDS,
            access_log=None,  # type: ignore[arg-type]  # aiohttp documents None for "no access log"
            logger=_log,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_HEADERS,
            lingering_time=LINGER_SECONDS,
            auto_decompress=False,
        )
        self._on_gone: Callable[[], None] | None = on_gone

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell the listener, once."""
        super().connection_lost(exc)
        on_gone, self._on_gone = self._on_gone, None
        if on_gone is not None:
            on_gone()

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Keep a stranger's faults out of the errors."""
        if isinstance(kw.get("exc_info"), _REMOTE_FAULTS):
            _log.info("dropped a connection: %s", type(kw["exc_info"]).__name__)
        else:
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's text may quote what the stranger sent
    ) -> web.StreamResponse:
        """Answer what no application saw: a request that is not HTTP, or a failure of our own."""
        if status < 500:  # noqa: PLR2004 - the classes of HTTP statuses
            _log.info("malformed HTTP from %s: %s", request.remote, type(exc).__name__)
            problem = ProblemError(ProblemCode.BAD_REQUEST, "this is not a well-formed HTTP request")
        else:
            self.log_exception("a request failed", exc_info=exc)
            problem = ProblemError(ProblemCode.INTERNAL, "the controller failed; its log says why")
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already, so no other can be sent")
        response = BareResponse(
            body=problem.details().model_dump_json().encode(), status=status, content_type=CONTENT_TYPE
        )
        response.headers.update({"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})
        response.force_close()
        return response
