"""A party's own keys: formats that the tools read, requests that the authority reads."""

import stat
from pathlib import Path

import asyncssh
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from latchstring.certs.identity import (
    combine_credentials,
    create_certificate_request,
    create_log_key,
    create_ssh_key,
    create_tls_key,
)
from latchstring.certs.keyfiles import KeyFileExistsError, create_private
from latchstring.certs.signer import Algorithm, FileSigner
from latchstring.certs.ssh_public_key import (
    certificate_blob,
    format_public_key,
    key_fingerprint,
    parse_public_key,
)


@pytest.mark.parametrize("create", [create_tls_key, create_ssh_key, create_log_key])
def test_keys_are_private_and_never_overwritten(tmp_path: Path, create: object) -> None:
    """Each kind of key is written with mode 0600, once."""
    assert callable(create)
    create(tmp_path / "key")
    before = (tmp_path / "key").read_bytes()
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    with pytest.raises(KeyFileExistsError):
        create(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == before


def test_asyncssh_reads_an_ssh_key(tmp_path: Path) -> None:
    """The endpoint's SSH server library reads the key that we write, and sees the same public key."""
    signer = create_ssh_key(tmp_path / "host")
    key = asyncssh.read_private_key(tmp_path / "host")
    assert key.export_public_key().decode().strip() == format_public_key(signer.public_key)
    assert isinstance(signer.public_key, Ed25519PublicKey)
    assert key.get_fingerprint() == key_fingerprint(signer.public_key)


def test_request_is_signed_by_its_key(tmp_path: Path) -> None:
    """A request proves possession of its key, and carries a name cut to what X.520 allows."""
    signer = create_tls_key(tmp_path / "key")
    request = x509.load_pem_x509_csr(create_certificate_request(signer, "acme-pbx1" * 20))
    assert request.is_signature_valid
    assert request.public_key() == signer.public_key


def test_combined_credentials_hold_the_key_first(tmp_path: Path) -> None:
    """A file with key and certificate still loads as a key."""
    signer = create_tls_key(tmp_path / "key")
    create_private(tmp_path / "both", combine_credentials(tmp_path / "key", b"-----BEGIN CERTIFICATE-----\n"))
    assert FileSigner.load(tmp_path / "both", Algorithm.ECDSA_P256).public_key == signer.public_key


def test_public_key_lines_round_trip(tmp_path: Path) -> None:
    """A line gives the key back, with or without comment and white space around it."""
    key = create_ssh_key(tmp_path / "key").public_key
    line = format_public_key(key)
    assert parse_public_key(line) == key
    assert parse_public_key(f"  {format_public_key(key, 'engineer at laptop')}\n") == key
    assert format_public_key(parse_public_key(line)) == line


def test_unprintable_comments_are_refused(tmp_path: Path) -> None:
    """A comment cannot break out of its line."""
    with pytest.raises(ValueError, match="comment"):
        format_public_key(create_ssh_key(tmp_path / "key").public_key, "a\nssh-rsa AAAA")


def test_other_keys_have_no_line(tmp_path: Path) -> None:
    """A P-256 key is refused for SSH."""
    with pytest.raises(ValueError, match="Ed25519"):
        format_public_key(create_tls_key(tmp_path / "key").public_key)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 ",
        "ssh-ed25519 ????",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ==",
        "ssh-ed25519-cert-v01@openssh.com AAAA",
        "ssh-ed25519 AAAA\nssh-ed25519 AAAA",
        "ssh-ed25519 " + "A" * 10_000,
        "ssh-ed25519 \N{LATIN SMALL LETTER E WITH ACUTE}",
        "no-pty ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==",
    ],
)
def test_what_is_no_key_line_is_refused(line: str) -> None:
    """Each malformed line raises ValueError and nothing else."""
    with pytest.raises(ValueError, match="not an OpenSSH"):
        parse_public_key(line)


@pytest.mark.parametrize(
    "line", ["", "ssh-ed25519 AAAA", "ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519-cert-v01@openssh.com A?"]
)
def test_what_is_no_certificate_line_is_refused(line: str) -> None:
    """Each malformed line raises ValueError and nothing else."""
    with pytest.raises(ValueError, match="not an OpenSSH certificate"):
        certificate_blob(line)
