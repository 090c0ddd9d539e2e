"""TLS contexts refuse what they must not use, at their making."""

import ssl
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from latchstring.certs.identity import create_tls_key
from latchstring.certs.keyfiles import KeyFileMissingError, KeyFilePermissionsError, KeyFileRefusedError, create_private
from latchstring.certs.signer import FileSigner
from latchstring.certs.tls_contexts import (
    TlsCredentials,
    client_context,
    server_context,
    unverified_bootstrap_context,
)
from latchstring.certs.x509_authority import X509Authority, create_root

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> X509Authority:
    """Return an X.509 authority."""
    signer = FileSigner(ec.generate_private_key(ec.SECP256R1()))
    return X509Authority(create_root("support.example.test", signer, NOW), signer)


@pytest.fixture
def credentials(tmp_path: Path, authority: X509Authority) -> TlsCredentials:
    """Return the credentials of a server."""
    signer = create_tls_key(tmp_path / "tls.key")
    certificate = authority.issue_server(["127.0.0.1"], signer.public_key, NOW)
    (tmp_path / "tls.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return TlsCredentials(certificate=tmp_path / "tls.pem", key=tmp_path / "tls.key")


def test_contexts_speak_tls_1_3_only(credentials: TlsCredentials, authority: X509Authority) -> None:
    """No context accepts an older version, and each verifies what it must."""
    listener = server_context(credentials)
    tunnel = server_context(credentials, client_root=authority.root_pem())
    client = client_context(authority.root_pem(), credentials=credentials)
    for context in (listener, tunnel, client, unverified_bootstrap_context()):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert listener.verify_mode is ssl.CERT_NONE
    assert (tunnel.verify_mode, tunnel.num_tickets) == (ssl.CERT_REQUIRED, 0)
    assert (client.verify_mode, client.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_pinned_client_trusts_one_root(authority: X509Authority) -> None:
    """With a pinned root nothing else is trusted; the system's authorities come only when they are asked for."""
    assert len(client_context(authority.root_pem()).get_ca_certs()) == 1
    assert client_context(None, system_trust=True).verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(ValueError, match="trust"):
        client_context(None)


def test_loose_and_missing_keys_are_refused(credentials: TlsCredentials, authority: X509Authority) -> None:
    """A key that others can read, or that is not there, makes no context."""
    credentials.key.chmod(0o644)
    with pytest.raises(KeyFilePermissionsError, match="chmod 600"):
        server_context(credentials)
    with pytest.raises(KeyFilePermissionsError, match="chmod 600"):
        client_context(authority.root_pem(), credentials=credentials)
    credentials.key.unlink()
    with pytest.raises(KeyFileMissingError):
        server_context(credentials)


def test_an_encrypted_key_does_not_wait_for_a_passphrase(tmp_path: Path, credentials: TlsCredentials) -> None:
    """A key with a passphrase is refused; nobody is asked on a terminal."""
    encryption = serialization.BestAvailableEncryption(b"passphrase")
    key = ec.generate_private_key(ec.SECP256R1())
    data = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    create_private(tmp_path / "encrypted.key", data)
    with pytest.raises(KeyFileRefusedError, match="encrypted"):
        server_context(credentials._replace(key=tmp_path / "encrypted.key"))


def test_the_wrong_key_is_refused(tmp_path: Path, credentials: TlsCredentials) -> None:
    """A key that does not belong to the certificate makes no context."""
    create_tls_key(tmp_path / "other.key")
    with pytest.raises(ssl.SSLError):
        server_context(credentials._replace(key=tmp_path / "other.key"))


def test_the_proxy_command_can_afford_this_module() -> None:
    """Importing the contexts loads neither cryptography nor pydantic nor any other third-party package."""
    code = (
        "import sys; import latchstring.certs.tls_contexts;"
        "print(sorted(set(name.split('.')[0] for name in sys.modules) - set(sys.stdlib_module_names)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = ['src']; {code}"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert loaded.stdout.strip() == "['__main__', 'latchstring']"
