"""Who gets into a session: OpenSSH's client, and clients that do what it would not, against the endpoint's server."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from eventually import eventually
from latchstring.endpoint.sandbox.environment import MAX_REQUESTED
from latchstring.endpoint.ssh import options
from latchstring.endpoint.ssh.server import _Guest
from relay_parties import on_both_loops
from ssh_endpoint import ENDPOINT_NAME, Keys, Session, SshEndpoint, make_grant, ssh_endpoint

SECONDS = 30
OTHER_SESSION = "ses-zzzzzzzzzzzzzzzz"


@pytest.fixture(autouse=True)
def no_errors_are_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a stranger does, nothing is logged at ERROR, and no traceback at any level."""
    caplog.set_level(logging.WARNING)
    yield
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]


async def ssh(endpoint: SshEndpoint, *options: str) -> tuple[int, str]:
    """Run ``ssh`` and return its status and what it said."""
    process = await asyncio.create_subprocess_exec(
        *("ssh", "-F", str(endpoint.directory / "config"), *options, f"{ENDPOINT_NAME}.latch", "true"),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), SECONDS)
    return process.returncode or 0, errors.decode(errors="replace")


def another_authority(endpoint: SshEndpoint, session: Session) -> str:
    """A certificate that is right in all but its authority."""
    del endpoint
    return Keys.make().certificate(session.grant)


def another_endpoint(endpoint: SshEndpoint, session: Session) -> str:
    """A certificate for the same engineer at another endpoint."""
    return endpoint.keys.certificate(session.grant, endpoint_id="ept-zzzzzzzzzzzzzzzz")


def unknown_session(endpoint: SshEndpoint, session: Session) -> str:
    """A certificate for a session that was never granted here."""
    return endpoint.keys.certificate(session.grant, session_id=OTHER_SESSION)


def ended_session(endpoint: SshEndpoint, session: Session) -> str:
    """A certificate for a session that is over."""
    session.is_live = False
    return endpoint.keys.certificate(session.grant)


def another_grant(endpoint: SshEndpoint, session: Session) -> str:
    """A certificate for a wider grant than the customer's."""
    wider = session.grant.model_copy(update={"duration_seconds": 7 * 24 * 3600})
    return endpoint.keys.certificate(wider)


def another_session_s_certificate(endpoint: SshEndpoint, session: Session) -> str:
    """A certificate with this session's grant, under the id of another live session."""
    grant = make_grant(endpoint.keys, session_id=OTHER_SESSION, allow=("exec",))
    endpoint.sessions[OTHER_SESSION] = Session(grant, session.sandbox)
    return endpoint.keys.certificate(session.grant, session_id=OTHER_SESSION)


REFUSED: dict[Callable[[SshEndpoint, Session], str], tuple[str, str]] = {
    another_authority: ("certificate_untrusted_issuer", ""),
    another_endpoint: ("other_endpoint", "made for another endpoint"),
    unknown_session: ("unknown_session", "does not know"),
    ended_session: ("not_live", "not live"),
    another_grant: ("grant_mismatch", "customer consented to"),
    another_session_s_certificate: ("grant_mismatch", "customer consented to"),
}


@on_both_loops
@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
async def test_a_certificate_that_does_not_fit_is_refused(
    tmp_path: Path, make: Callable[[SshEndpoint, Session], str]
) -> None:
    """The client gets nothing, and the reason exactly if our own authority vouches for it; the agent gets the code."""
    code, reason = REFUSED[make]
    async with ssh_endpoint(tmp_path) as (endpoint, session):
        endpoint.write_client_files(make(endpoint, session))
        status, errors = await ssh(endpoint, "-o", "LogLevel=INFO")
        assert status == 255
        assert reason in errors
        assert ("latchstring:" in errors) is bool(reason)
        assert await endpoint.refusals.get() == code
        assert session.recorder.events == []


@on_both_loops
async def test_a_key_alone_is_refused(tmp_path: Path) -> None:
    """The engineer's key without a certificate is not enough."""
    async with ssh_endpoint(tmp_path) as (endpoint, session):
        (tmp_path / "id-cert.pub").unlink()
        assert (await ssh(endpoint))[0] == 255
        assert await endpoint.refusals.get() == "certificate_malformed"
        assert session.recorder.events == []


@on_both_loops
async def test_any_user_name_will_do(tmp_path: Path) -> None:
    """The engineer's local name is sent, and does not matter."""
    async with ssh_endpoint(tmp_path) as (endpoint, _):
        for name in ("root", "ada.lovelace", "\u00e4da", "DOMAIN+ada"):
            assert (await ssh(endpoint, "-o", f"User={name}"))[0] == 0


@on_both_loops
async def test_the_host_is_known_by_its_certificate(tmp_path: Path) -> None:
    """OpenSSH accepts the host by the host authority alone, and refuses an endpoint of another authority."""
    async with ssh_endpoint(tmp_path) as (endpoint, _):
        assert (await ssh(endpoint))[0] == 0
        (tmp_path / "known_hosts").write_text(f"@cert-authority *.latch {Keys.make().host_ca.public_key}\n")
        assert (await ssh(endpoint))[0] == 255


@on_both_loops
async def test_other_methods_do_not_exist(tmp_path: Path) -> None:
    """Only public keys are offered: no password, no keyboard-interactive, no host-based."""
    async with ssh_endpoint(tmp_path) as (endpoint, _):
        _, errors = await ssh(endpoint, "-o", "PubkeyAuthentication=no", "-o", "LogLevel=INFO")
        assert "Permission denied (publickey)" in errors
        assert await endpoint.refusals.get() == "not_authenticated"


async def connect(endpoint: SshEndpoint, keys: list[Any]) -> asyncssh.SSHClientConnection:
    """Connect with asyncssh's client, which does as it is told."""
    return await asyncssh.connect(
        "127.0.0.1", endpoint.port, username="x", client_keys=keys, known_hosts=None, config=None, agent_path=None
    )


def key_and_certificate(endpoint: SshEndpoint, session: Session) -> tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]:
    """Return what gets the engineer in."""
    pem = endpoint.keys.engineer.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    certificate = endpoint.keys.certificate(session.grant)
    return asyncssh.import_private_key(pem), asyncssh.import_certificate(certificate)


@on_both_loops
async def test_three_failures_are_enough(tmp_path: Path) -> None:
    """After three keys that do not fit the server hangs up, even if the fourth one would fit."""
    async with ssh_endpoint(tmp_path) as (endpoint, session):
        wrong = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(options.MAX_FAILED_AUTHENTICATIONS)]
        right = key_and_certificate(endpoint, session)
        async with await connect(endpoint, [*wrong[1:], right]):
            assert len(session.connections) == 1
        with pytest.raises(asyncssh.DisconnectError, match="too many authentication failures"):
            await connect(endpoint, [*wrong, right])
        assert await endpoint.refusals.get() == "certificate_malformed"


@on_both_loops
async def test_a_stolen_certificate_is_worth_nothing(tmp_path: Path) -> None:
    """A good certificate without its key gets nobody in."""
    async with ssh_endpoint(tmp_path) as (endpoint, session):
        (pair,) = asyncssh.load_keypairs([key_and_certificate(endpoint, session)])[:1]
        other = asyncssh.generate_private_key("ssh-ed25519")
        pair.sign = lambda data: other.sign(data, b"ssh-ed25519")  # type: ignore[method-assign]  # the lie under test
        with pytest.raises(asyncssh.PermissionDenied):
            await connect(endpoint, [pair])
        assert await endpoint.refusals.get() == "key_not_proven"
        assert session.recorder.events == []


@on_both_loops
async def test_a_client_that_wants_crumbs_is_dropped(tmp_path: Path) -> None:
    """A client that announces absurdly small packets, which cost as much as large ones, loses its connection."""
    async with ssh_endpoint(tmp_path) as (endpoint, session):
        client = await connect(endpoint, [key_and_certificate(endpoint, session)])
        with pytest.raises(asyncssh.Error):
            await client.run("head -c 1000000 /dev/zero", max_pktsize=16, encoding=None)
        await session.recorder.wait_for("disconnected")
        assert not session.recorder.named("opened")
        await client.wait_closed()


@on_both_loops
async def test_the_environment_that_a_client_asks_for_is_limited(tmp_path: Path) -> None:
    """Of very many variables only the first are kept; the program starts all the same."""
    async with ssh_endpoint(tmp_path) as (endpoint, session):
        asked = {f"LC_{first}{second}": "x" * 900 for first in "ABCDEFGHIJ" for second in "ABCDEFGHIJ"}
        async with await connect(endpoint, [key_and_certificate(endpoint, session)]) as client:
            ran = await client.run("env | grep -c '^LC_[A-J]'", env=asked)
            assert ran.stdout == f"{MAX_REQUESTED}\n"


@on_both_loops
async def test_a_client_that_does_not_read_its_answers_is_not_read_either(tmp_path: Path) -> None:
    """What a client sends without reading is left in the socket, so that answers cannot fill the agent's memory."""
    async with ssh_endpoint(tmp_path) as (endpoint, session):
        client = await connect(endpoint, [key_and_certificate(endpoint, session)])
        process = await client.create_process("head -c 50000000 /dev/zero; cat", encoding=None, window=2**31 - 1)
        await session.recorder.wait_for("opened")
        (connection,) = session.connections
        assert isinstance(connection, _Guest)
        assert client._transport is not None
        client._transport.pause_reading()
        await eventually(lambda: not connection._connection.is_writable, "the server to notice")
        moved = connection.bytes_moved
        await asyncio.sleep(0.2)
        assert connection.bytes_moved == moved < 50_000_000
        client._transport.resume_reading()
        await eventually(lambda: connection.bytes_moved >= 50_000_000, "the rest to be sent")
        process.close()
        client.abort()
        await client.wait_closed()


GARBAGE = {
    "another protocol": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "an old SSH": b"SSH-1.5-x\r\n",
    "a version without an end": b"SSH-2.0-" + b"x" * 100_000,
    "a packet of absurd length": b"SSH-2.0-x\r\n" + b"\xff" * 100,
    "a packet of nothing": b"SSH-2.0-x\r\n" + bytes(64),
    "nothing": b"",
}


@on_both_loops
@pytest.mark.parametrize("case", GARBAGE)
async def test_garbage_ends_the_connection(tmp_path: Path, case: str) -> None:
    """Whatever a stranger sends before it hangs up, the connection ends, and the agent is told once."""
    async with ssh_endpoint(tmp_path) as (endpoint, session):
        with socket.create_connection(("127.0.0.1", endpoint.port)) as connection:
            connection.sendall(GARBAGE[case])
            connection.shutdown(socket.SHUT_WR)
            assert await asyncio.wait_for(endpoint.refusals.get(), SECONDS) == "not_authenticated"
        assert endpoint.refusals.empty()
        assert session.recorder.events == []


@on_both_loops
async def test_who_does_not_log_in_in_time_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent connection is closed when the grace period is over."""
    monkeypatch.setattr(options, "LOGIN_SECONDS", 0.1)
    async with ssh_endpoint(tmp_path) as (endpoint, _):
        with socket.create_connection(("127.0.0.1", endpoint.port)):
            assert await asyncio.wait_for(endpoint.refusals.get(), SECONDS) == "not_authenticated"


@on_both_loops
async def test_a_client_that_no_longer_answers_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a client stops answering, its connection ends by itself, and its channels with it."""
    monkeypatch.setattr(options, "KEEPALIVE_SECONDS", 0.1)
    async with ssh_endpoint(tmp_path) as (_, session):
        client = await asyncio.create_subprocess_exec(
            *("ssh", "-F", str(tmp_path / "config"), f"{ENDPOINT_NAME}.latch", "cat"), stdin=asyncio.subprocess.PIPE
        )
        await session.recorder.wait_for("opened")
        client.send_signal(19)
        await session.recorder.wait_for("disconnected")
        assert len(session.recorder.named("closed")) == 1
        client.kill()
        await client.communicate()


@on_both_loops
async def test_what_is_offered_is_modern(tmp_path: Path) -> None:
    """Old ciphers, key exchanges and signatures are not there to be chosen."""
    async with ssh_endpoint(tmp_path) as (endpoint, _):
        for option in ("Ciphers=aes128-ctr", "KexAlgorithms=diffie-hellman-group14-sha256", "Ciphers=aes256-cbc"):
            status, errors = await ssh(endpoint, "-o", option, "-o", "LogLevel=INFO")
            assert status == 255, option
            assert "no matching" in errors
