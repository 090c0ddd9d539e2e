"""A whole controller in the test's own process, its API, and endpoints that say what a test tells them to."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from controller_parts import ENGINEER_KEY, Machine, ed25519_signer
from http_clients import http_client
from latchstring.certs.identity import create_certificate_request
from latchstring.certs.keyfiles import create_private
from latchstring.certs.signer import FileSigner
from latchstring.certs.ssh_public_key import fingerprint_of, format_public_key
from latchstring.certs.tls_contexts import TlsCredentials, client_context
from latchstring.controller.administration import administration, initialise
from latchstring.controller.data_directory import BoundAddresses, DataDirectory
from latchstring.controller.serve import serve
from latchstring.controller.settings import ControllerSettings
from latchstring.protocol.enrolment import EnrolmentKeys, EnrolmentResponse, parse_enrolment_code, sign_enrolment
from latchstring.protocol.events import Role
from latchstring.protocol.grants import Offer, grant_from_offer
from latchstring.protocol.messages import CONTROL_PATH, Hello, Report, encode_message

PASSWORD = "correct horse battery staple"
CUSTOMER = "Acme Dental"
ENDPOINT = "acme-pbx1"


@dataclass(frozen=True)
class Answer:
    """An answer of the API."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Api:
    """The API, as one person uses it."""

    url: str
    context: ssl.SSLContext
    client: aiohttp.ClientSession
    token: str | None = None

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """Ask, and return the answer whatever it is."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            options["json"] = body
        options["headers"] = {**headers, **options.get("headers", {})}
        async with self.client.request(method, self.url + path, ssl=self.context, **options) as response:
            text = await response.text()
            document = json.loads(text) if text else None
            return Answer(response.status, dict(response.headers), document)

    async def get(self, path: str) -> Any:
        """Get what is there."""
        answer = await self.ask("GET", path)
        assert answer.status == 200, answer
        return answer.body

    async def login(self, email: str) -> "Api":
        """Return the API as this account uses it."""
        answer = await self.ask("POST", "/login", {"email": email, "password": PASSWORD})
        assert answer.status == 200, answer
        return Api(self.url, self.context, self.client, answer.body["token"])


@dataclass
class ScriptedEndpoint:
    """An endpoint that enrolled, and says what it is told to say."""

    machine: Machine
    url: str
    context: ssl.SSLContext
    enrolled: EnrolmentResponse
    client: aiohttp.ClientSession
    heard: list[dict[str, Any]] = field(default_factory=list)

    @asynccontextmanager
    async def connected(self, *live_sessions: str) -> AsyncIterator["Conversation"]:
        """Connect and say hello."""
        async with self.client.ws_connect(self.url + CONTROL_PATH, ssl=self.context) as socket:
            conversation = Conversation(self.machine, socket)
            await conversation.send(self.machine.hello(*live_sessions))
            await conversation.hear("welcome")
            yield conversation


@dataclass
class Conversation:
    """One control channel, from the endpoint's side."""

    machine: Machine
    socket: aiohttp.ClientWebSocketResponse

    async def send(self, message: Hello | Report) -> None:
        """Send a message."""
        await self.socket.send_str(encode_message(message))

    async def report(self, event: Any) -> None:
        """Report an event, and wait until it is acknowledged."""
        await self.send(Report(signed=self.machine.say(event)))
        while (await self.hear("acknowledged"))["next_sequence"] < self.machine.sequence:
            pass

    async def hear(self, kind: str) -> dict[str, Any]:
        """Return the next message of a type, and pass over others."""
        while True:
            frame = await self.socket.receive(timeout=10)
            assert frame.type is aiohttp.WSMsgType.TEXT, frame
            message: dict[str, Any] = json.loads(frame.data)
            if message["type"] == kind:
                return message

    async def grant(self) -> str:
        """Hear an offer, grant it whole, and return the session's id."""
        offer = Offer.model_validate((await self.hear("offer"))["offer"])
        grant = grant_from_offer(offer, capabilities=offer.capabilities, duration_seconds=offer.duration_seconds)
        await self.report(
            {
                "type": "session.granted",
                "session_id": offer.session_id,
                "grant_digest": grant.digest(),
                "engineer_key": fingerprint_of(offer.ssh_public_key),
                "capabilities": grant.capabilities,
                "duration_seconds": grant.duration_seconds,
                "decided_by": "policy",
            }
        )
        return offer.session_id


@dataclass
class Reach:
    """A controller that serves, here or in another process, and what a test needs to reach it."""

    path: Path
    client: aiohttp.ClientSession
    bound: BoundAddresses
    root: bytes

    @classmethod
    def of(cls, path: Path, client: aiohttp.ClientSession) -> "Reach":
        """Reach the controller that serves in the data directory ``path``."""
        directory = DataDirectory(path)
        bound = directory.read_bound()
        assert bound is not None
        return cls(path, client, bound, (directory.keys / "root.pem").read_bytes())

    @property
    def anonymous(self) -> Api:
        """The API without a login."""
        return Api(f"https://{self.bound.people}/api/v1", client_context(self.root), self.client)

    async def person(self, role: Role, email: str | None = None) -> Api:
        """Make an account and sign in."""
        email = email or f"{role}@example.test"
        async with administration(self.path) as opened:
            await opened.foundation.accounts().create(email, role.title(), role, PASSWORD)
        return await self.anonymous.login(email)

    async def invite(self, name: str = ENDPOINT, *, replace: bool = False) -> str:
        """Return an enrolment code."""
        async with administration(self.path) as opened:
            customers = opened.foundation.customers()
            if not await customers.list():
                await customers.add(CUSTOMER)
            public = opened.public_addresses()
            invited = await opened.foundation.enrolment(public).invite(
                name, CUSTOMER, address=str(public.people), replace=replace
            )
            return invited.code.encode()

    async def endpoint(self, name: str = ENDPOINT) -> ScriptedEndpoint:
        """Invite and enrol an endpoint."""
        code = parse_enrolment_code(await self.invite(name))
        tls_key, journal = ec.generate_private_key(ec.SECP256R1()), Ed25519PrivateKey.generate()
        keys = EnrolmentKeys(
            invitation_key=code.public_key_hex(),
            signing_request=create_certificate_request(FileSigner(tls_key), name).decode(),
            ssh_host_key=format_public_key(ed25519_signer().public_key),
            journal_key=journal.public_key().public_bytes_raw().hex(),
        )
        request = sign_enrolment(code, keys)
        answer = await self.anonymous.ask("POST", "/enrol", request.model_dump(mode="json"))
        assert answer.status == 200, answer
        enrolled = EnrolmentResponse.model_validate(answer.body)
        context = client_context(self.root, credentials=self._credentials(name, tls_key, enrolled))
        return ScriptedEndpoint(
            machine=Machine(enrolled.endpoint_id, name, enrolled.customer_id, journal),
            url=f"https://{enrolled.tunnel_host}:{enrolled.tunnel_port}",
            context=context,
            enrolled=enrolled,
            client=self.client,
        )

    def _credentials(
        self, name: str, tls_key: ec.EllipticCurvePrivateKey, enrolled: EnrolmentResponse
    ) -> TlsCredentials:
        path = self.path.with_name(f"{name}.pem")
        create_private(path, _pem(tls_key) + enrolled.client_certificate.encode())
        return TlsCredentials(path, path)


@dataclass
class ServedController(Reach):
    """A controller that serves in this process."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    announced: list[str] = field(default_factory=list)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def settings(**changes: Any) -> ControllerSettings:
    """Return settings of a controller on free ports of 127.0.0.1."""
    listen = dict.fromkeys(("listen", "tunnel_listen", "relay_listen"), "127.0.0.1:0")
    return ControllerSettings.model_validate({"name": "support.example.test", **listen, **changes})


def session_body(endpoint: str = ENDPOINT, **changes: Any) -> dict[str, Any]:
    """Return the body of a request for a session."""
    return {
        "endpoint": endpoint,
        "purpose": "maintenance",
        "capabilities": ["shell", "exec"],
        "duration_seconds": 600,
        "ssh_public_key": ENGINEER_KEY,
        **changes,
    }


@asynccontextmanager
async def serving(path: Path, *, fresh: bool = True) -> AsyncIterator[ServedController]:
    """Run a controller in the data directory ``path``, which is made if ``fresh``."""
    if fresh:
        await initialise(path, settings())
    stop, ready, announced = asyncio.Event(), asyncio.Event(), list[str]()

    def announce(line: str) -> None:
        announced.append(line)
        ready.set()

    task = asyncio.create_task(serve(path, public_credentials=None, announce=announce, stop=stop))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        await task
    async with http_client() as client:
        reach = Reach.of(path, client)
        try:
            yield ServedController(path, client, reach.bound, reach.root, stop, announced)
        finally:
            stop.set()
            await task
