"""The real controller in processes of its own: commands beside it, its stop, its death, its certificates."""

import asyncio
import base64
import json
import signal
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller_parts import enrolment_request
from http_clients import http_client
from latchstring.certs.tls_contexts import client_context
from latchstring.controller.log.refusals import ENTRY_BURST
from latchstring.protocol.enrolment import EnrolmentCode
from latchstring.protocol.events import Role
from parties import BIN, CUSTOMER, Party, Site
from served_controller import PASSWORD, Reach, session_body
from tls_identities import Identities


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A controller on free ports, which its settings leave to chance."""
    made = Site(tmp_path)
    (tmp_path / "home").mkdir()
    ports = ["--listen", "127.0.0.1:0", "--tunnel-listen", "127.0.0.1:0", "--relay-listen", "127.0.0.1:0"]
    made.vendor("init", "--name", "support.example.test", *ports)
    yield made
    made.close()


def start(site: Site, *options: str) -> Party:
    """Serve, and wait for the line that says so."""
    command = [str(BIN / "latch-controller"), "serve", "--data", str(site.controller_data), *options]
    site.controller = Party(command, site.root / "controller.log", site.environment())
    site.controller.wait_for("latch-controller: ready, people on https://127.0.0.1:")
    return site.controller


@asynccontextmanager
async def reach(site: Site) -> AsyncIterator[Reach]:
    """Reach the controller that serves."""
    async with http_client() as client:
        yield Reach.of(site.controller_data, client)


def quiet(party: Party) -> None:
    """Require that the controller complained about nothing."""
    assert "ERROR" not in party.text
    assert "Traceback" not in party.text


async def test_commands_beside_serve(site: Site) -> None:
    """Customers, codes, accounts and revocations work while ``serve`` runs, which takes them up at once."""
    party = start(site)
    await asyncio.to_thread(site.vendor, "customer", "add", CUSTOMER)
    password = (await asyncio.to_thread(site.vendor, "user", "add", "ann@example.test", "--role", "engineer")).out
    async with reach(site) as controller:
        login = {"email": "ann@example.test", "password": password.strip()}
        assert (await controller.anonymous.ask("POST", "/login", login)).status == 200
        endpoint = await controller.endpoint()
        async with endpoint.connected() as channel:
            loop = asyncio.get_running_loop()
            await asyncio.to_thread(site.vendor, "endpoint", "revoke", "acme-pbx1")
            began = loop.time()
            assert (await channel.hear("goodbye"))["code"] == "revoked"
            assert loop.time() - began < 2.5
        async with endpoint.client.ws_connect(endpoint.url + "/control", ssl=endpoint.context) as again:
            await again.send_str(endpoint.machine.hello().model_dump_json())
            assert json.loads((await again.receive()).data)["code"] == "revoked"
    quiet(party)


async def test_revocation_ends_a_session(site: Site) -> None:
    """Who revokes an endpoint ends its sessions."""
    start(site)
    async with reach(site) as controller:
        ann = await controller.person(Role.ENGINEER)
        endpoint = await controller.endpoint()
        async with endpoint.connected() as channel:
            opened = await ann.ask("POST", "/sessions", session_body())
            await channel.grant()
            await asyncio.to_thread(site.vendor, "endpoint", "revoke", "acme-pbx1")
            assert (await channel.hear("goodbye"))["code"] == "revoked"
        ended = await ann.get(f"/sessions/{opened.body['id']}")
        assert (ended["state"], ended["reason"]) == ("ended_by_vendor", "endpoint_revoked")


async def test_disabling_an_account(site: Site) -> None:
    """Who is disabled beside ``serve`` is out within two seconds: session and request end, token and password fail."""
    party = start(site)
    async with reach(site) as controller:
        ann, eve = await controller.person(Role.ENGINEER), await controller.person(Role.AUDITOR)
        endpoint = await controller.endpoint()
        async with endpoint.connected() as channel:
            live = (await ann.ask("POST", "/sessions", session_body())).body["id"]
            await channel.grant()
            waiting = (await ann.ask("POST", "/sessions", session_body())).body["id"]
            assert (await channel.hear("offer"))["offer"]["session_id"] == waiting
            await asyncio.to_thread(site.vendor, "user", "disable", "engineer@example.test")
            began = asyncio.get_running_loop().time()
            assert (await ann.ask("GET", f"/sessions/{live}")).body["code"] == "not_authenticated"
            told = {(await channel.hear(kind))["session_id"] for kind in ("end_session", "withdraw")}
            assert told == {live, waiting}
            assert asyncio.get_running_loop().time() - began < 2
            ended = {"state": "ended_by_vendor", "reason": "ended_by_administrator"}
            await channel.report(
                {"type": "session.ended", "session_id": live, "processes_left": 0, "kill_milliseconds": 3, **ended}
            )
            for session_id in (live, waiting):
                view = await eve.get(f"/sessions/{session_id}")
                assert {key: view[key] for key in ended} == ended
        login = {"email": "engineer@example.test", "password": PASSWORD}
        refused = await controller.anonymous.ask("POST", "/login", login)
        wrong = await controller.anonymous.ask("POST", "/login", {**login, "password": "wrong"})
        assert (refused.status, refused.body) == (wrong.status, wrong.body)
        assert refused.body["code"] == "login_failed"
        await asyncio.to_thread(site.vendor, "user", "enable", "engineer@example.test")
        await controller.anonymous.login("engineer@example.test")
    quiet(party)


async def test_strangers_are_counted(site: Site) -> None:
    """A flood of a stranger's enrolments leaves a few entries, and one with the count of the rest when it stops."""
    burst = int(ENTRY_BURST)
    party = start(site)
    async with reach(site) as controller:
        code = EnrolmentCode(str(controller.bound.people), b"r" * 32, b"s" * 16)
        flood = enrolment_request(code, Ed25519PrivateKey.generate()).model_dump(mode="json")
        answers = [(await controller.anonymous.ask("POST", "/enrol", flood)).status for _ in range(burst + 100)]
        assert (answers.count(403), answers.count(429)) == (burst, 100)
    assert await asyncio.to_thread(party.stop) == 0
    quiet(party)
    start(site)
    async with reach(site) as controller:
        odd = await controller.person(Role.AUDITOR)
        page = (await odd.get("/audit/logs/operator/entries"))["entries"]
        logged = [json.loads(base64.b64decode(entry["entry"]))["event"] for entry in page]
    assert len([event for event in logged if event["type"] == "endpoint.enrolment_refused"]) == burst
    counted = {"refused": "endpoint.enrolment_refused", "account_id": None, "count": 100}
    assert [event for event in logged if event["type"] == "refusals.counted"] == [
        {"type": "refusals.counted", **counted}
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_stop(site: Site, number: signal.Signals) -> None:
    """A signal stops it in order: endpoints are told, the log says so, the exit code is 0, nothing is left on disk."""
    party = start(site)
    async with reach(site) as controller:
        endpoint = await controller.endpoint()
        async with endpoint.connected() as channel:
            party.process.send_signal(number)
            assert (await channel.hear("goodbye"))["code"] == "restarting"
        assert await asyncio.to_thread(party.process.wait, 20) == 0
    quiet(party)
    party = start(site)
    async with reach(site) as controller:
        odd = await controller.person(Role.AUDITOR)
        entries = (await odd.get("/audit/logs/operator/entries"))["entries"]
        types = [json.loads(base64.b64decode(entry["entry"]))["event"]["type"] for entry in entries]
        assert types.count("controller.started") == 2
        assert types.count("controller.stopped") == 1


async def test_killed(site: Site) -> None:
    """After SIGKILL it starts again, on the same log, and a session that was acknowledged is still there."""
    party = start(site)
    async with reach(site) as controller:
        ann = await controller.person(Role.ENGINEER)
        endpoint = await controller.endpoint()
        async with endpoint.connected() as channel:
            opened = await ann.ask("POST", "/sessions", session_body())
            await channel.grant()
            await asyncio.to_thread(party.kill)
    party = start(site)
    async with reach(site) as again:
        ann = await again.anonymous.login("engineer@example.test")
        endpoint.url, endpoint.client = f"https://{again.bound.tunnel}", again.client
        session_id = opened.body["id"]
        async with endpoint.connected(session_id):
            assert (await ann.get(f"/sessions/{session_id}"))["state"] == "granted"
    quiet(party)


def test_in_use(site: Site) -> None:
    """A second ``serve`` on the same directory is told who holds it."""
    party = start(site)
    done = site.vendor("serve", status=1)
    assert f"pid {party.process.pid}" in done.err
    assert done.err.count("\n") == 1
    assert site.vendor("init", "--name", "other.test", status=1).err.count("\n") == 1


async def test_public_certificate(site: Site, tmp_path: Path) -> None:
    """With a certificate of somebody else's, people get that one, and endpoints ours."""
    (tmp_path / "public").mkdir()
    public = Identities.create(tmp_path / "public")
    first = public.server_credentials()
    party = start(site, "--tls-cert", str(first.certificate), "--tls-key", str(first.key))
    async with reach(site) as controller:
        trusted = client_context(public.keys.x509.root_pem())
        url = f"https://{controller.bound.people}/api/v1/root"
        async with controller.client.get(url, ssl=trusted) as answer:
            document = await answer.json()
        assert document["root_certificate"].encode() == controller.root
        with pytest.raises(aiohttp.ClientError):
            await controller.client.get(url, ssl=client_context(controller.root))
        assert _serial(controller.bound.people.port) == _serial_in(first.certificate)
    assert party.stop() == 0


def test_bad_public_certificate(site: Site, tmp_path: Path) -> None:
    """A certificate that does not fit its key, or a key that others can read, is named; nothing is served."""
    (tmp_path / "public").mkdir()
    public = Identities.create(tmp_path / "public")
    one, two = public.server_credentials(), public.server_credentials()
    options = ["--tls-cert", str(one.certificate), "--tls-key"]
    assert "cannot be used for TLS" in site.vendor("serve", *options, str(two.key), status=1).err
    two.key.chmod(0o644)
    assert "chmod 600" in site.vendor("serve", *options, str(two.key), status=1).err


async def test_many_administrators(site: Site) -> None:
    """Commands of several processes at once, beside ``serve``, lose nothing."""
    start(site)
    names = [f"Customer {number}" for number in range(3)]
    await asyncio.gather(*(asyncio.to_thread(site.vendor, "customer", "add", name) for name in names))
    listed = site.vendor("customer", "list", "--json").json()["customers"]
    assert sorted(customer["name"] for customer in listed) == names
    async with reach(site) as controller:
        assert await controller.anonymous.get("/healthz") == {"status": "ok"}


def _serial(port: int) -> int:
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def _serial_in(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number
