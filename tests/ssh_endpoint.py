"""An endpoint's SSH server with its real sandbox, on a loopback port, and an engineer's files to reach it with OpenSSH.

Tests run it on their own event loop; ``python tests/ssh_endpoint.py DIRECTORY`` serves one session until its standard
input ends, for benchmarks and for tests that kill it.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from latchstring.certs.signer import FileSigner
from latchstring.certs.ssh_authority import SshHostAuthority, SshUserAuthority
from latchstring.certs.ssh_public_key import format_public_key
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.spec import SandboxSpec
from latchstring.endpoint.ssh.identity import HostIdentity
from latchstring.endpoint.ssh.ports import (
    ChannelEnd,
    ChannelRefusal,
    LiveConnection,
    RefusedError,
    Service,
)
from latchstring.endpoint.ssh.server import serve_session_socket
from latchstring.protocol.event_fields import ChannelKind
from latchstring.protocol.grants import Engineer, Grant
from latchstring.protocol.purposes import Purpose

ENDPOINT_ID = "ept-abcdefghijklmnop"
ENDPOINT_NAME = "acme-pbx1"
SESSION_ID = "ses-k3v7q2m4n5p6r7s2"
ALL_CAPABILITIES = ("exec", "forward:echo", "forward:gone", "sftp_read", "sftp_write", "shell")


@dataclass(frozen=True)
class Keys:
    """The keys of all parties."""

    user_ca: SshUserAuthority
    host_ca: SshHostAuthority
    host: Ed25519PrivateKey
    engineer: Ed25519PrivateKey

    @classmethod
    def make(cls) -> "Keys":
        """Make new keys."""
        signers = [FileSigner(Ed25519PrivateKey.generate()) for _ in range(2)]
        return cls(
            user_ca=SshUserAuthority(signers[0]),
            host_ca=SshHostAuthority(signers[1]),
            host=Ed25519PrivateKey.generate(),
            engineer=Ed25519PrivateKey.generate(),
        )

    @property
    def engineer_line(self) -> str:
        """The engineer's public key."""
        return format_public_key(self.engineer.public_key())

    def identity(self) -> HostIdentity:
        """Return the endpoint's identity."""
        line = format_public_key(self.host.public_key())
        certificate = self.host_ca.issue_host(endpoint_name=ENDPOINT_NAME, public_key=line)
        return HostIdentity(ENDPOINT_ID, self.host, certificate)

    def certificate(self, grant: Grant, **changes: str) -> str:
        """Return the session certificate for ``grant``, with some of its fields changed."""
        fields = {
            "session_id": grant.session_id,
            "endpoint_id": grant.endpoint_id,
            "public_key": grant.ssh_public_key,
            "grant_digest": grant.digest(),
        }
        return self.user_ca.issue_user(**(fields | changes))


def make_grant(keys: Keys, *, session_id: str = SESSION_ID, allow: tuple[str, ...] = ALL_CAPABILITIES) -> Grant:
    """Return a grant for the engineer's key."""
    return Grant(
        session_id=session_id,
        endpoint_id=ENDPOINT_ID,
        endpoint_name=ENDPOINT_NAME,
        customer_id="cus-abcdefghijklmnop",
        engineer=Engineer(account_id="acc-abcdefghijklmnop", name="Ada", email="ada@support.example"),
        ssh_public_key=keys.engineer_line,
        purpose=Purpose.MAINTENANCE,
        capabilities=allow,
        duration_seconds=3600,
    )


@dataclass
class Record:
    """A recorder in memory, which can be told to fail.

    Attributes:
        events: what was recorded, in order, as tuples that begin with a word.
        broken: every attempt to record an opening fails.
    """

    events: list[tuple[object, ...]] = field(default_factory=list)
    broken: bool = False
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _number: int = 0

    async def opened(self, *, kind: ChannelKind, capability: str, detail: str | None) -> int:
        """Record an opening."""
        if self.broken:
            raise OSError("no space left on device")
        self._number += 1
        await self.note("opened", self._number, kind, capability, detail)
        return self._number

    async def closed(self, channel: int, end: ChannelEnd) -> None:
        """Record a closing."""
        await self.note("closed", channel, end)

    async def refused(self, *, kind: ChannelKind, reason: ChannelRefusal, detail: str | None) -> None:
        """Record a refusal."""
        await self.note("refused", kind, reason, detail)

    async def note(self, *event: object) -> None:
        """Append an event and wake those who wait for one."""
        self.events.append(event)
        async with self.changed:
            self.changed.notify_all()

    async def wait_for(self, word: str, count: int = 1) -> list[tuple[object, ...]]:
        """Wait until ``count`` events begin with ``word``, and return them."""
        async with self.changed, asyncio.timeout(20):
            await self.changed.wait_for(lambda: len(self.named(word)) >= count)
        return self.named(word)

    def named(self, word: str) -> list[tuple[object, ...]]:
        """Return the events that begin with ``word``."""
        return [event for event in self.events if event[0] == word]


@dataclass
class Session:
    """A session of the endpoint's table."""

    grant: Grant
    sandbox: Sandbox
    services: Mapping[str, Service] = field(default_factory=dict)
    recorder: Record = field(default_factory=Record)
    is_live: bool = True
    channels_left: int | None = None
    connections: set[LiveConnection] = field(default_factory=set)

    def may_open(self) -> bool:
        """Count a channel against ``channels_left``, if there is a limit."""
        if self.channels_left is None:
            return True
        self.channels_left -= 1
        return self.channels_left >= 0

    def authorise(self, capability: str) -> None:
        """Allow what the grant names."""
        if capability not in self.grant.capabilities:
            raise RefusedError(ChannelRefusal.NOT_GRANTED, f"{capability} is not granted in this session")

    async def connect(self, service: Service) -> int:
        """Connect as a session on the machine's network does."""
        return await self.sandbox.connect(service.host, service.port)

    async def connected(self, connection: LiveConnection) -> None:
        """Take note of a connection."""
        if self.recorder.broken:
            raise OSError("no space left on device")
        self.connections.add(connection)
        await self.recorder.note("connected", len(self.connections))

    async def disconnected(self, connection: LiveConnection) -> None:
        """Take note of its end."""
        self.connections.discard(connection)
        await self.recorder.note("disconnected", len(self.connections))


class SshEndpoint:
    """Serves sessions on a loopback port, and writes the files with which OpenSSH reaches it."""

    def __init__(self, directory: Path, keys: Keys) -> None:
        self.directory = directory
        self.keys = keys
        self.sessions: dict[str, Session] = {}
        self.refusals: asyncio.Queue[str] = asyncio.Queue()
        self.port = 0
        self._listening: socket.socket
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, session_id: str) -> Session | None:
        """Look a session up."""
        return self.sessions.get(session_id)

    def refused(self, code: str) -> None:
        """Keep the code of a refusal."""
        self.refusals.put_nowait(code)

    def start(self) -> None:
        """Listen and serve."""
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listening.setblocking(False)
        self.port = self._listening.getsockname()[1]
        self.run(self._accept())

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run something until the endpoint closes."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End everything."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._listening.close()
        for session in self.sessions.values():
            await session.sandbox.kill()

    async def serve(self, sock: socket.socket) -> None:
        """Serve one socket."""
        await serve_session_socket(
            sock, identity=self.keys.identity(), user_ca=self.keys.user_ca.public_key, sessions=self
        )

    def write_client_files(self, certificate: str | None) -> list[str]:
        """Write keys and ``known_hosts``, and return the options that make OpenSSH's programs use them."""
        key = self.directory / "id"
        pem = self.keys.engineer.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        key.write_bytes(pem)
        key.chmod(0o600)
        if certificate is not None:
            (self.directory / "id-cert.pub").write_text(certificate + "\n")
        known_hosts = self.directory / "known_hosts"
        known_hosts.write_text(f"@cert-authority *.latch {self.keys.host_ca.public_key}\n")
        config = self.directory / "config"
        config.write_text(
            f"Host {ENDPOINT_NAME}.latch\n"
            f"  HostName 127.0.0.1\n  Port {self.port}\n  HostKeyAlias {ENDPOINT_NAME}.latch\n"
            f"  IdentityFile {key}\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {known_hosts}\n  StrictHostKeyChecking yes\n  BatchMode yes\n"
            "  Ciphers aes128-gcm@openssh.com\n  LogLevel ERROR\n  User whoever-it-is\n"
        )
        return ["-F", str(config)]

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._listening)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.run(self.serve(connection))


@contextlib.asynccontextmanager
async def ssh_endpoint(
    directory: Path, *, allow: tuple[str, ...] = ALL_CAPABILITIES, spec: SandboxSpec | None = None
) -> AsyncIterator[tuple[SshEndpoint, Session]]:
    """Run an endpoint with one live session."""
    keys = Keys.make()
    endpoint = SshEndpoint(directory, keys)
    grant = make_grant(keys, allow=allow)
    session = Session(grant, await Sandbox.start(spec or SandboxSpec()))
    endpoint.sessions[grant.session_id] = session
    endpoint.start()
    endpoint.write_client_files(keys.certificate(grant))
    try:
        yield endpoint, session
    finally:
        await endpoint.close()


async def _serve_until_end_of_input(directory: Path) -> None:
    async with ssh_endpoint(directory) as (endpoint, _):
        sys.stdout.write(json.dumps({"port": endpoint.port, "pid": os.getpid()}) + "\n")
        sys.stdout.flush()
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        await reader.read()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve_until_end_of_input(Path(sys.argv[1])))
