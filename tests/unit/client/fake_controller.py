"""A TLS server that speaks the controller's API with answers that a test scripts, and notes what it was asked."""

import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import BaseModel

from latchstring.certs.controller_keys import ControllerKeys, create
from latchstring.certs.identity import create_tls_key
from latchstring.certs.tls_contexts import TlsCredentials, server_context
from latchstring.certs.x509_verify import fingerprint
from latchstring.protocol.api import LoginResponse, RootResponse
from latchstring.protocol.events import Role
from latchstring.protocol.problems import ProblemCode, ProblemError
from latchstring.protocol.relay_websocket import RELAY_PATH
from unit.client.websocket_peer import WebSocketPeer

NAME = "support.example.test"
TOKEN = "tok-0123456789"
ACCOUNT_ID = "acc-aaaaaaaaaaaaaaaa"
USER = "ann@example.test"
EXPIRES = "2026-11-25T12:00:00.000Z"


@dataclass(frozen=True)
class Asked:
    """One request that came in."""

    method: str
    path: str
    query: dict[str, list[str]]
    token: str | None
    body: Any


Handler = Callable[[Asked], Any]


class FakeController:
    """Listens on loopback. ``handlers`` maps ``"GET /endpoints"`` to what answers it, or raises ``ProblemError``."""

    def __init__(self, directory: Path, names: tuple[str, ...] = ("127.0.0.1", "localhost")) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        now = datetime.now(UTC)
        self.keys: ControllerKeys = create(directory / "keys", NAME, now)
        key = create_tls_key(directory / "tls.key")
        certificate = self.keys.x509.issue_server(list(names), key.public_key, now)
        (directory / "tls.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        context = server_context(TlsCredentials(directory / "tls.pem", directory / "tls.key"))
        self.asked: list[Asked] = []
        self.relay: Callable[[WebSocketPeer], None] | None = None
        """Serves the WebSockets at the relay's path, each in a thread of its own."""
        self.handlers: dict[str, Handler] = {"GET /root": self._root, "POST /login": self._login}
        self._server = _Server(self, context)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its URL."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def fingerprint(self) -> str:
        """The fingerprint of its root."""
        return fingerprint(self.keys.x509.root)

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        """Return status and body of the answer."""
        self.asked.append(asked)
        try:
            result = self.handlers.get(f"{asked.method} {asked.path}", _nothing)(asked)
        except ProblemError as error:
            details = error.details()
            return details.status, details.model_dump_json().encode()
        if isinstance(result, BaseModel):
            return 200, result.model_dump_json().encode()
        return 200, result if isinstance(result, bytes) else json.dumps(result).encode()

    def _root(self, _asked: Asked) -> RootResponse:
        return RootResponse(controller_name=NAME, root_certificate=self.keys.x509.root_pem().decode())

    def _login(self, asked: Asked) -> LoginResponse:
        if asked.body["password"] != "secret":
            raise ProblemError(ProblemCode.LOGIN_FAILED, "e-mail address or password is wrong")
        return LoginResponse(
            token=TOKEN,
            expires_at=EXPIRES,
            account_id=ACCOUNT_ID,
            name="Ann",
            role=Role.ENGINEER,
            ssh_host_ca=self.keys.host_ca.public_key,
        )


def _nothing(asked: Asked) -> Any:
    raise ProblemError(ProblemCode.NOT_FOUND, f"nothing at {asked.path}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, controller: FakeController, context: ssl.SSLContext) -> None:
        self.controller = controller
        self._context = context
        super().__init__(("127.0.0.1", 0), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer one connection, in its own thread."""
        try:
            with self._context.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)
        except OSError:
            return  # the client went away, or did not trust us: what a test may be about


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    connection: ssl.SSLSocket

    def handle_any(self) -> None:
        """Answer any method."""
        parts = urlsplit(self.path)
        if parts.path == RELAY_PATH and self.server.controller.relay is not None:
            self.close_connection = True
            key = self.headers["Sec-WebSocket-Key"].encode()
            self.server.controller.relay(WebSocketPeer(self.connection, key))
            return
        length = int(self.headers.get("Content-Length", "0"))
        body = json.loads(self.rfile.read(length)) if length else None
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        path = parts.path.removeprefix("/api/v1")
        status, content = self.server.controller.answer(Asked(self.command, path, parse_qs(parts.query), token, body))
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the names that http.server calls

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server passes
        """Say nothing."""
