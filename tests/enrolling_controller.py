"""A small controller that enrols, on real TLS, and lies where a test tells it to."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from latchstring.certs.note_signer import Ed25519NoteSigner
from latchstring.certs.x509_parsing import load_certificate
from latchstring.protocol.api import API_PREFIX
from latchstring.protocol.enrolment import EnrolmentCode, EnrolmentRequest, verify_enrolment
from tls_identities import Identities

ENDPOINT_ID = "ept-" + "a" * 16
CUSTOMER_ID = "cus-" + "a" * 16
NAME = "support.example.test"


class EnrollingController:
    """Answers the two requests of an enrolment."""

    def __init__(self, identities: Identities) -> None:
        self.identities = identities
        self.port = 0
        self.tunnel_port = 1
        self.requests: list[EnrolmentRequest] = []
        self.root = identities.keys.x509.root_pem().decode()
        self.answer: Callable[[EnrolmentRequest], web.Response] = lambda request: web.json_response(self.enrol(request))
        self.change: dict[str, Any] = {}
        """What the answer says differently."""

    @property
    def code(self) -> EnrolmentCode:
        """A code for this controller."""
        root = load_certificate(self.identities.keys.x509.root_pem())
        digest = hashlib.sha256(root.public_bytes(Encoding.DER)).digest()
        return EnrolmentCode(address=f"127.0.0.1:{self.port}", root_sha256=digest, secret=b"s" * 16)

    def enrol(self, request: EnrolmentRequest) -> dict[str, Any]:
        """Certify the keys of a request."""
        keys, authority = verify_enrolment(request), self.identities.keys
        certificate = authority.x509.issue_client(keys.signing_request.encode(), ENDPOINT_ID, datetime.now(UTC))
        log = Ed25519NoteSigner(f"{NAME}/audit/{CUSTOMER_ID}", authority.log_signer)
        return {
            "endpoint_id": ENDPOINT_ID,
            "endpoint_name": "acme-pbx1",
            "customer_id": CUSTOMER_ID,
            "customer_name": "Acme Dental",
            "controller_name": NAME,
            "tunnel_host": "127.0.0.1",
            "tunnel_port": self.tunnel_port,
            "relay_host": "127.0.0.1",
            "relay_port": 2,
            "root_certificate": authority.x509.root_pem().decode(),
            "client_certificate": certificate.public_bytes(Encoding.PEM).decode(),
            "ssh_host_certificate": authority.host_ca.issue_host(
                endpoint_name="acme-pbx1", public_key=keys.ssh_host_key
            ),
            "ssh_user_ca": authority.user_ca.public_key,
            "log_verifier_key": log.verifier_key.vkey(),
            **self.change,
        }

    async def handle_root(self, _: web.Request) -> web.Response:
        """Answer with the root."""
        return web.json_response({"controller_name": NAME, "root_certificate": self.root})

    async def handle_enrol(self, request: web.Request) -> web.Response:
        """Answer a request for an enrolment."""
        body = EnrolmentRequest.model_validate_json(await request.read())
        self.requests.append(body)
        return self.answer(body)


def _identities(root: Path) -> Identities:
    root.mkdir()
    return Identities.create(root)


@asynccontextmanager
async def enrolling_controller(root: Path) -> AsyncIterator[EnrollingController]:
    """Run one on loopback."""
    controller = EnrollingController(_identities(root))
    application = web.Application()
    application.router.add_get(f"{API_PREFIX}/root", controller.handle_root)
    application.router.add_post(f"{API_PREFIX}/enrol", controller.handle_enrol)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=controller.identities.server())
    await site.start()
    assert site._server is not None
    controller.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # a Server has sockets
    try:
        yield controller
    finally:
        await runner.cleanup()
