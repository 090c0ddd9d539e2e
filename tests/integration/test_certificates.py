"""Certificates and keys under the tools and the handshakes of others: OpenSSH, OpenSSL, TLS on loopback."""

import asyncio
import ssl
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncssh
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from latchstring.certs import controller_keys
from latchstring.certs.controller_keys import ControllerKeys
from latchstring.certs.fingerprints import format_fingerprint
from latchstring.certs.identity import combine_credentials, create_certificate_request, create_ssh_key, create_tls_key
from latchstring.certs.keyfiles import create_private, create_public
from latchstring.certs.signer import Algorithm, FileSigner
from latchstring.certs.ssh_public_key import format_public_key
from latchstring.certs.tls_contexts import (
    TlsCredentials,
    client_context,
    server_context,
    unverified_bootstrap_context,
)
from latchstring.certs.x509_authority import X509Authority
from latchstring.certs.x509_parsing import load_certificate
from latchstring.certs.x509_verify import endpoint_id_of, fingerprint, verify_endpoint_certificate, verify_root

SESSION = "ses-k3v7q2m4n5p6r7s2"
ENDPOINT = "ept-abcdefghijklmnop"
NAME = "support.example.test"


def real_now() -> datetime:
    """Return the time that OpenSSL will compare with."""
    return datetime.now(UTC)


@pytest.fixture
def keys(tmp_path: Path) -> ControllerKeys:
    """Return the keys of a controller."""
    return controller_keys.create(tmp_path / "keys", NAME, real_now())


def run(*command: str | Path) -> str:
    """Run a command that must succeed, and return what it printed."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


# --- OpenSSH


@dataclass(frozen=True)
class SshFiles:
    """An engineer's key with its session certificate, an endpoint's host key with its host certificate."""

    user_key: Path
    host_key: Path
    known_hosts: Path

    @property
    def user_certificate(self) -> Path:
        """Where OpenSSH looks for the certificate of the user key."""
        return self.user_key.with_name(f"{self.user_key.name}-cert.pub")

    @property
    def host_certificate(self) -> Path:
        """Where OpenSSH looks for the certificate of the host key."""
        return self.host_key.with_name(f"{self.host_key.name}-cert.pub")


@pytest.fixture
def ssh_files(tmp_path: Path, keys: ControllerKeys) -> SshFiles:
    """Return keys and certificates for one SSH connection."""
    files = SshFiles(tmp_path / "user", tmp_path / "host", tmp_path / "known_hosts")
    engineer = format_public_key(create_ssh_key(files.user_key).public_key)
    host = format_public_key(create_ssh_key(files.host_key).public_key)
    session = keys.user_ca.issue_user(
        session_id=SESSION, endpoint_id=ENDPOINT, public_key=engineer, grant_digest="ab" * 32
    )
    create_public(files.user_certificate, f"{session}\n".encode())
    line = keys.host_ca.issue_host(endpoint_name="acme-pbx1", public_key=host)
    create_public(files.host_certificate, f"{line}\n".encode())
    create_public(files.known_hosts, f"@cert-authority *.latch {keys.host_ca.public_key}\n".encode())
    return files


def test_ssh_keygen_reads_a_session_certificate(ssh_files: SshFiles, tmp_path: Path) -> None:
    """OpenSSH sees the type, key id, principal, validity, options and extensions that were issued."""
    listing = run("ssh-keygen", "-L", "-f", ssh_files.user_certificate)
    fields = [line.strip() for line in listing.splitlines()]
    assert "Type: ssh-ed25519-cert-v01@openssh.com user certificate" in fields
    assert f'Key ID: "{SESSION}"' in fields
    assert "Valid: forever" in fields
    assert "Critical Options: (none)" in fields
    assert fields[fields.index("Principals:") + 1 : fields.index("Critical Options: (none)")] == [ENDPOINT]
    extensions = fields[fields.index("Extensions:") + 1 :]
    assert [line.split(" ")[0] for line in extensions] == [
        "grant-sha256@latchstring.dev",
        "permit-port-forwarding",
        "permit-pty",
    ]
    issuer = run("ssh-keygen", "-l", "-f", tmp_path / "keys" / "user_ca.pub").split(" ")[1]
    assert f"Signing CA: ED25519 {issuer} (using ssh-ed25519)" in fields


def test_ssh_keygen_reads_a_host_certificate(ssh_files: SshFiles) -> None:
    """OpenSSH sees a host certificate for one name, valid forever."""
    listing = run("ssh-keygen", "-L", "-f", ssh_files.host_certificate)
    fields = [line.strip() for line in listing.splitlines()]
    assert "Type: ssh-ed25519-cert-v01@openssh.com host certificate" in fields
    assert "Valid: forever" in fields
    assert fields[fields.index("Principals:") + 1] == "acme-pbx1.latch"


def test_ssh_keygen_reads_the_private_keys(tmp_path: Path, keys: ControllerKeys) -> None:
    """OpenSSH derives from each authority's private key the public key that stands beside it."""
    assert keys.user_ca.public_key != keys.host_ca.public_key
    for name in ("user_ca", "host_ca"):
        derived = run("ssh-keygen", "-y", "-P", "", "-f", tmp_path / "keys" / name)
        assert derived.split(" ")[1].strip() == (tmp_path / "keys" / f"{name}.pub").read_text().split(" ")[1]


async def _ssh(files: SshFiles, authorized: str, *, alias: str = "acme-pbx1.latch") -> tuple[int, bytes, bytes]:
    """Connect with OpenSSH's client to an asyncssh server that accepts ``authorized``."""

    def answer(process: "asyncssh.SSHServerProcess[str]") -> None:
        process.stdout.write("served\n")
        process.exit(0)

    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[(files.host_key, files.host_certificate)],
        authorized_client_keys=asyncssh.import_authorized_keys(authorized),
        process_factory=answer,
    )
    async with server:
        command: list[str | Path] = [
            "ssh", "-F", "none", "-p", str(server.get_port()), "-i", files.user_key,
            "-o", f"UserKnownHostsFile={files.known_hosts}", "-o", "GlobalKnownHostsFile=none",
            "-o", f"HostKeyAlias={alias}", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes",
            "-o", "IdentitiesOnly=yes", "127.0.0.1", "true",
        ]  # fmt: skip
        client = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        output, errors = await client.communicate()
    assert client.returncode is not None
    return client.returncode, output, errors


async def test_openssh_connects_with_both_certificates(ssh_files: SshFiles, keys: ControllerKeys) -> None:
    """OpenSSH's client proves a session certificate to asyncssh, and accepts the endpoint by its host certificate."""
    authorized = f'cert-authority,principals="{ENDPOINT}" {keys.user_ca.public_key}\n'
    assert await _ssh(ssh_files, authorized) == (0, b"served\n", b"")


async def test_openssh_refuses_an_endpoint_of_another_name(ssh_files: SshFiles, keys: ControllerKeys) -> None:
    """A host certificate for one endpoint does not pass as another."""
    authorized = f'cert-authority,principals="{ENDPOINT}" {keys.user_ca.public_key}\n'
    code, output, errors = await _ssh(ssh_files, authorized, alias="acme-pbx2.latch")
    assert (code, output) == (255, b"")
    assert b"Host key verification failed" in errors


async def test_a_session_certificate_is_for_one_endpoint(ssh_files: SshFiles, keys: ControllerKeys) -> None:
    """A server that expects another principal does not let the certificate in."""
    authorized = f'cert-authority,principals="ept-aaaaaaaaaaaaaaaa" {keys.user_ca.public_key}\n'
    code, output, errors = await _ssh(ssh_files, authorized)
    assert (code, output) == (255, b"")
    assert b"Permission denied" in errors


# --- OpenSSL


@dataclass(frozen=True)
class Tls:
    """A server's and an endpoint's credentials, and the root above them."""

    authority: X509Authority
    server: TlsCredentials
    endpoint: TlsCredentials

    @property
    def root(self) -> bytes:
        """The root in PEM."""
        return self.authority.root_pem()


def make_tls(directory: Path, authority: X509Authority, *, issued: datetime) -> Tls:
    """Issue certificates at a time for a server at 127.0.0.1 and an endpoint."""
    directory.mkdir()
    tls = Tls(
        authority,
        server=TlsCredentials(directory / "server.pem", directory / "server.key"),
        endpoint=TlsCredentials(directory / "endpoint.pem", directory / "endpoint.key"),
    )
    server = authority.issue_server([NAME, "127.0.0.1"], create_tls_key(tls.server.key).public_key, issued)
    create_public(tls.server.certificate, server.public_bytes(Encoding.PEM))
    request = create_certificate_request(create_tls_key(tls.endpoint.key), "acme-pbx1")
    client = authority.issue_client(request, ENDPOINT, issued)
    create_public(tls.endpoint.certificate, client.public_bytes(Encoding.PEM))
    return tls


@pytest.fixture
def tls(tmp_path: Path, keys: ControllerKeys) -> Tls:
    """Return credentials that were issued just now."""
    return make_tls(tmp_path / "tls", keys.x509, issued=real_now())


def test_openssl_verifies_strictly(tls: Tls, tmp_path: Path) -> None:
    """OpenSSL's strictest verification accepts each certificate for its purpose, and refuses it for the other."""
    root = tmp_path / "keys" / "root.pem"
    verify = ("openssl", "verify", "-x509_strict", "-CAfile", root)
    assert run(*verify, root).endswith("OK\n")
    assert run(*verify, "-purpose", "sslclient", tls.endpoint.certificate).endswith("OK\n")
    server = (*verify, "-purpose", "sslserver")
    assert run(*server, "-verify_hostname", NAME, tls.server.certificate).endswith("OK\n")
    assert run(*server, "-verify_ip", "127.0.0.1", tls.server.certificate).endswith("OK\n")
    for wrong in (
        (*server, tls.endpoint.certificate),
        (*verify, "-purpose", "sslclient", tls.server.certificate),
        (*server, "-verify_hostname", "other.example.test", tls.server.certificate),
    ):
        with pytest.raises(subprocess.CalledProcessError):
            run(*wrong)


def test_openssl_reads_request_and_fingerprint(tls: Tls, tmp_path: Path) -> None:
    """OpenSSL verifies a request's signature, and computes the same digest as our fingerprint stands for."""
    request = create_certificate_request(create_tls_key(tmp_path / "other.key"), "acme-pbx1")
    create_public(tmp_path / "request.pem", request)
    run("openssl", "req", "-verify", "-noout", "-in", tmp_path / "request.pem")
    printed = run("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", tmp_path / "keys" / "root.pem")
    digest = bytes.fromhex(printed.strip().split("=")[1].replace(":", ""))
    assert fingerprint(tls.authority.root) == format_fingerprint(digest)


# --- TLS on loopback


async def handshake(server: ssl.SSLContext, client: ssl.SSLContext, *, name: str = "127.0.0.1") -> bytes | None:
    """Connect, send one line and read it back; return the client certificate that the server saw, in DER.

    The server answers only after its handshake, so a client that was refused reads no line.
    """
    seen: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
        assert connection.version() == "TLSv1.3"
        seen.set_result(connection.getpeercert(binary_form=True))
        writer.write(await reader.readline())
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)
        try:
            writer.write(b"line\n")
            if await reader.readline() != b"line\n":
                raise ConnectionResetError("the server refused us")
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
    return await seen


async def test_mutual_tls_names_the_endpoint(tls: Tls) -> None:
    """After a mutual handshake the server knows the endpoint by its certificate, by name or by address."""
    for name in (NAME, "127.0.0.1"):
        server = server_context(tls.server, client_root=tls.root)
        seen = await handshake(server, client_context(tls.root, credentials=tls.endpoint), name=name)
        assert seen is not None
        assert endpoint_id_of(seen) == ENDPOINT


async def test_credentials_may_stand_in_one_file(tls: Tls, tmp_path: Path) -> None:
    """A file that holds key and certificate serves as both, so a renewal can replace them in one step."""
    both = tmp_path / "both.pem"
    create_private(both, combine_credentials(tls.endpoint.key, tls.endpoint.certificate.read_bytes()))
    client = client_context(tls.root, credentials=TlsCredentials(both, both))
    seen = await handshake(server_context(tls.server, client_root=tls.root), client)
    assert seen is not None
    assert endpoint_id_of(seen) == ENDPOINT


@pytest.mark.parametrize("days", [-1, 1])
async def test_a_controller_whose_clock_is_off_by_a_day(tmp_path: Path, keys: ControllerKeys, days: int) -> None:
    """Certificates of a controller whose clock is a day wrong work at once with peers whose clock is right."""
    tls = make_tls(tmp_path / "skewed", keys.x509, issued=real_now() + timedelta(days=days))
    server = server_context(tls.server, client_root=tls.root)
    assert await handshake(server, client_context(tls.root, credentials=tls.endpoint)) is not None


REFUSED = (ssl.SSLError, ConnectionResetError, BrokenPipeError)


async def test_no_client_certificate_is_refused(tls: Tls) -> None:
    """A listener for endpoints serves nobody without a certificate; a listener for people does."""
    client = client_context(tls.root)
    with pytest.raises(REFUSED):
        await handshake(server_context(tls.server, client_root=tls.root), client)
    assert await handshake(server_context(tls.server), client) is None


async def test_a_server_certificate_is_no_client_certificate(tls: Tls) -> None:
    """The controller's own server certificate does not pass as an endpoint's, although the same root signed it."""
    with pytest.raises(REFUSED):
        await handshake(
            server_context(tls.server, client_root=tls.root), client_context(tls.root, credentials=tls.server)
        )


async def test_a_client_certificate_is_no_server_certificate(tls: Tls) -> None:
    """An endpoint cannot pass as the controller."""
    with pytest.raises(ssl.SSLCertVerificationError):
        await handshake(server_context(tls.endpoint), client_context(tls.root))


async def test_a_root_of_the_same_name_is_refused(tls: Tls, tmp_path: Path) -> None:
    """Certificates of a controller that calls itself the same, with another key, are refused on either side."""
    impostor = make_tls(
        tmp_path / "other", controller_keys.create(tmp_path / "impostor", NAME, real_now()).x509, issued=real_now()
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        await handshake(server_context(impostor.server), client_context(tls.root))
    with pytest.raises(REFUSED):
        await handshake(
            server_context(tls.server, client_root=tls.root), client_context(tls.root, credentials=impostor.endpoint)
        )


async def test_another_host_name_is_refused(tls: Tls) -> None:
    """A server is accepted only under a name that its certificate bears."""
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await handshake(server_context(tls.server), client_context(tls.root), name="other.example.test")


@pytest.mark.parametrize(("days", "reason"), [(-91, "expired"), (8, "not yet valid")])
async def test_validity_is_enforced(tmp_path: Path, keys: ControllerKeys, days: int, reason: str) -> None:
    """Certificates that have expired, or will only become valid, are refused on either side."""
    now = real_now()
    good = make_tls(tmp_path / "good", keys.x509, issued=now)
    bad = make_tls(tmp_path / "bad", keys.x509, issued=now + timedelta(days=days))
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        await handshake(server_context(bad.server), client_context(good.root))
    with pytest.raises(REFUSED):
        await handshake(
            server_context(good.server, client_root=good.root), client_context(good.root, credentials=bad.endpoint)
        )


async def test_revocation_is_the_controller_s(tls: Tls) -> None:
    """TLS accepts what was revoked; the serial number that the server sees tells it from its successor."""
    server = server_context(tls.server, client_root=tls.root)
    seen = await handshake(server, client_context(tls.root, credentials=tls.endpoint))
    assert seen is not None
    signer = FileSigner.load(tls.endpoint.key, Algorithm.ECDSA_P256)
    request = create_certificate_request(signer, "acme-pbx1")
    successor = tls.authority.issue_client(request, ENDPOINT, real_now())
    verified = verify_endpoint_certificate(seen, root=tls.authority.root, now=real_now())
    assert verified.serial_number == load_certificate(tls.endpoint.certificate.read_bytes()).serial_number
    assert verified.serial_number != successor.serial_number


async def test_tls_1_2_is_refused(tls: Tls) -> None:
    """A client that speaks TLS 1.2 at most is refused."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(cadata=tls.root.decode())
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(REFUSED):
        await handshake(server_context(tls.server), old)


async def test_bootstrap_by_fingerprint(tls: Tls) -> None:
    """Over a connection that trusts anyone a root can be fetched, and only the pinned one is then accepted."""
    assert await handshake(server_context(tls.server), unverified_bootstrap_context()) is None
    root = verify_root(tls.root, fingerprint(tls.authority.root))
    assert await handshake(server_context(tls.server), client_context(root.public_bytes(Encoding.PEM))) is None
