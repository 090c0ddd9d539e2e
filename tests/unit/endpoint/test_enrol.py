"""Enrolment: whole or not at all, with the controller that made the code and nobody else."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from enrolling_controller import ENDPOINT_ID, EnrollingController, enrolling_controller
from latchstring.certs.tls_contexts import client_context
from latchstring.endpoint.access_file import AccessFile
from latchstring.endpoint.agent import find_relay
from latchstring.endpoint.clock import SystemClock
from latchstring.endpoint.data_directory import open_directory
from latchstring.endpoint.enrol import enrol
from latchstring.endpoint.errors import EndpointError, EnrolmentError, RefusedError, UnreachableError
from latchstring.endpoint.identity import load_identity
from latchstring.endpoint.relay_address import RelayAddress
from latchstring.endpoint.settings import read_settings
from latchstring.protocol.access import AccessMode
from latchstring.protocol.enrolment import EnrolmentCode


@pytest.fixture
async def controller(tmp_path: Path) -> AsyncIterator[EnrollingController]:
    """A controller that enrols."""
    async with enrolling_controller(tmp_path / "controller") as controller:
        yield controller


async def take_up(code: EnrolmentCode, path: Path) -> None:
    """Enrol with a code."""
    await enrol(code, path, clock=SystemClock())


async def test_enrolled(controller: EnrollingController, tmp_path: Path) -> None:
    """Afterwards everything is there, private, belongs together, and access is ask."""
    path = tmp_path / "deep" / "endpoint"
    await take_up(controller.code, path)
    directory = open_directory(path)
    identity = load_identity(directory)
    assert identity.endpoint_id == ENDPOINT_ID
    client_context(identity.root, credentials=identity.tunnel)
    setting = AccessFile(directory.access, directory.access_return, boot_id="x").read(0)
    assert (setting.mode, setting.initial) == (AccessMode.ASK, True)
    assert path.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o077 == 0 for file in path.iterdir() if file.name != "latchstring.json")
    assert names_in(path.parent) == ["endpoint"]


def make_directory(path: Path) -> Path:
    """Make a directory."""
    path.mkdir()
    return path


def names_in(path: Path) -> list[str]:
    """Return what is in a directory."""
    return sorted(entry.name for entry in path.iterdir())


async def test_an_empty_directory_will_do(controller: EnrollingController, tmp_path: Path) -> None:
    """A directory that somebody made for it, and left empty, is used."""
    path = make_directory(tmp_path / "endpoint")
    await take_up(controller.code, path)
    assert load_identity(open_directory(path)).endpoint_id == ENDPOINT_ID


async def test_the_secret_never_leaves(controller: EnrollingController, tmp_path: Path) -> None:
    """Neither the code's secret nor a private key is in what was sent."""
    await take_up(controller.code, tmp_path / "endpoint")
    sent = controller.requests[0].model_dump_json()
    assert controller.code.secret.hex() not in sent
    assert "PRIVATE" not in sent


def problem(code: str, status: int) -> web.Response:
    """Return a failure as the API writes it."""
    body = {"title": "No", "status": status, "detail": "this code was used\x1b[2J before", "code": code}
    return web.json_response(body, status=status)


def other(field: str) -> dict[str, Any]:
    """Return a change of the answer in one field, to another's of the same form."""
    return {
        "endpoint_id": {"endpoint_id": "ept-" + "b" * 16},
        "endpoint_name": {"endpoint_name": "acme-pbx2"},
        "customer_id": {"customer_id": "cus-" + "b" * 16},
        "log_verifier_key": {"log_verifier_key": "x+0+y"},
        "ssh_host_certificate": {"ssh_host_certificate": "ssh-ed25519-cert-v01@openssh.com AAAA"},
        "client_certificate": {"client_certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"},
    }[field]


@pytest.mark.parametrize(
    "field",
    ["endpoint_id", "endpoint_name", "customer_id", "log_verifier_key", "ssh_host_certificate", "client_certificate"],
)
async def test_an_answer_that_does_not_fit(controller: EnrollingController, tmp_path: Path, field: str) -> None:
    """Whatever in the answer is another's, the enrolment fails and nothing is left."""
    controller.change = other(field)
    with pytest.raises(EnrolmentError):
        await take_up(controller.code, tmp_path / "endpoint")
    assert names_in(tmp_path) == ["controller"]


async def test_a_replayed_answer(controller: EnrollingController, tmp_path: Path) -> None:
    """Certificates for somebody else's keys are not taken."""
    await take_up(controller.code, tmp_path / "first")
    stale = controller.enrol(controller.requests[0])
    controller.answer = lambda _: web.json_response(stale)
    with pytest.raises(EnrolmentError, match="another key"):
        await take_up(controller.code, tmp_path / "second")
    assert not (tmp_path / "second").exists()


async def test_another_root(controller: EnrollingController, tmp_path: Path) -> None:
    """A controller that is not the one in the code gets no request for an enrolment."""
    code = EnrolmentCode(address=controller.code.address, root_sha256=b"r" * 32, secret=b"s" * 16)
    with pytest.raises(EnrolmentError, match="not the one that made this code"):
        await take_up(code, tmp_path / "endpoint")
    assert not controller.requests
    assert not (tmp_path / "endpoint").exists()


async def test_the_right_root_and_another_listener(controller: EnrollingController, tmp_path: Path) -> None:
    """Whoever shows the right root without having its key gets no request: the second connection is verified."""
    async with enrolling_controller(tmp_path / "thief") as thief:
        thief.root = controller.identities.keys.x509.root_pem().decode()
        code = EnrolmentCode(
            address=f"127.0.0.1:{thief.port}", root_sha256=controller.code.root_sha256, secret=b"s" * 16
        )
        with pytest.raises(EnrolmentError, match="not trusted"):
            await take_up(code, tmp_path / "endpoint")
        assert not thief.requests


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (lambda _: problem("enrolment_refused", 403), EnrolmentError, "this code was used"),
        (lambda _: problem("too_many_attempts", 429), RefusedError, "used"),
        (lambda _: web.Response(status=500, text="oops"), EnrolmentError, "500"),
        (lambda _: web.Response(text="{}"), EnrolmentError, "none that this version knows"),
        (lambda _: web.Response(body=b" " * 70_000), EnrolmentError, "too long"),
        (lambda _: web.Response(status=302, headers={"Location": "/"}), EnrolmentError, "302"),
    ],
)
async def test_refusals(
    controller: EnrollingController, tmp_path: Path, answer: Any, error: type[EndpointError], words: str
) -> None:
    """Each refusal and each nonsense is one printable line, and nothing is left."""
    controller.answer = answer
    with pytest.raises(error, match=words) as caught:
        await take_up(controller.code, tmp_path / "endpoint")
    assert str(caught.value).isprintable()
    assert not (tmp_path / "endpoint").exists()


async def test_nobody_there(tmp_path: Path) -> None:
    """A controller that cannot be reached is said to be, with its address."""
    code = EnrolmentCode(address="127.0.0.1:1", root_sha256=b"r" * 32, secret=b"s" * 16)
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1"):
        await take_up(code, tmp_path / "a" / "endpoint")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "foreign", "enrolled", "controllers"])
async def test_a_place_that_is_taken(controller: EnrollingController, tmp_path: Path, kind: str) -> None:
    """What is there already is named, left alone, and costs no code."""
    path = tmp_path / "endpoint"
    if kind == "file":
        path.write_text("x")
    elif kind == "enrolled":
        await take_up(controller.code, path)
        controller.requests.clear()
    else:
        path.mkdir()
        name = "something" if kind == "foreign" else "latchstring.json"
        (path / name).write_text(json.dumps({"kind": "latch-controller", "format": 1}))
    before = sorted(path.iterdir()) if path.is_dir() else path.read_text()
    with pytest.raises(EndpointError, match=str(path)):
        await take_up(controller.code, path)
    assert not controller.requests
    assert (sorted(path.iterdir()) if path.is_dir() else path.read_text()) == before


async def test_the_relay_is_the_enrolments_unless_the_customer_names_one(
    controller: EnrollingController, tmp_path: Path
) -> None:
    """The relay of the enrolment is kept, and a relay in ``endpoint.toml`` takes its place."""
    controller.change = {"relay_host": "relay.example.test", "relay_port": 7022}
    await take_up(controller.code, tmp_path / "endpoint")
    directory = open_directory(tmp_path / "endpoint")
    identity = load_identity(directory)
    assert find_relay(read_settings(directory.settings), identity) == RelayAddress("relay.example.test", 7022)
    directory.settings.write_text('relay = "other.example.test:7"\n')
    assert find_relay(read_settings(directory.settings), identity) == RelayAddress("other.example.test", 7)


@pytest.mark.parametrize("field", ["relay_host", "relay_port"])
async def test_an_enrolment_without_its_relay_is_damaged(
    controller: EnrollingController, tmp_path: Path, field: str
) -> None:
    """An endpoint that does not know its relay does not start: it would not know what it may dial."""
    await take_up(controller.code, tmp_path / "endpoint")
    directory = open_directory(tmp_path / "endpoint")
    document = json.loads(directory.enrolment.read_text())
    del document[field]
    directory.enrolment.write_text(json.dumps(document))
    with pytest.raises(EnrolmentError, match="damaged"):
        load_identity(directory)
