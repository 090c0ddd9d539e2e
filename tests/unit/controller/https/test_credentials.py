"""Tests of the listeners' certificates and of their renewal while the controller runs."""

import asyncio
import logging
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509

from latchstring.certs.tls_contexts import TlsCredentials
from latchstring.certs.x509_profile import LEAF_LIFETIME
from latchstring.controller.addresses import Address
from latchstring.controller.data_directory import DataDirectory
from latchstring.controller.https.admission import AdmissionLimits
from latchstring.controller.https.credentials import CredentialsError, ListenerContext, ServerCertificate
from latchstring.controller.https.listener import ListenerLimits, bind
from latchstring.controller.https.site import TlsSite
from tls_identities import Identities

NAMES = ("support.example.test", "127.0.0.1", "localhost")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        """Return the time."""
        return self.time

    def monotonic(self) -> float:
        """Return seconds."""
        return self.time.timestamp()


@pytest.fixture
def identities(tmp_path: Path) -> Identities:
    """A controller's keys."""
    return Identities.create(tmp_path)


def certificate(path: Path) -> x509.Certificate:
    """Return the certificate in a file."""
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_issue_and_renew(identities: Identities, tmp_path: Path) -> None:
    """A new key and certificate at the start, for every name, and again when two thirds of its life are over."""
    clock, directory = Clock(), DataDirectory(tmp_path)
    directory.new_server_key.write_text("left by a start that died")
    own = ServerCertificate(directory, identities.keys.x509, NAMES, clock)
    first = certificate(directory.server_credentials)
    assert directory.server_credentials.stat().st_mode & 0o777 == 0o600
    assert not directory.new_server_key.exists()
    names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["support.example.test", "localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    clock.time += LEAF_LIFETIME * 0.6
    assert not own.renew_if_due()
    clock.time += LEAF_LIFETIME * 0.1
    assert own.renew_if_due()
    second = certificate(directory.server_credentials)
    assert second.public_key() != first.public_key()
    assert second.not_valid_after_utc > first.not_valid_after_utc


async def serial_of(port: int, context: ssl.SSLContext) -> int:
    """Return the serial number of the certificate that is served."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    tls = writer.get_extra_info("ssl_object")
    serial = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True)).serial_number
    writer.transport.abort()
    return serial


async def test_new_connections_get_the_renewed_certificate(identities: Identities, tmp_path: Path) -> None:
    """A renewal reaches the listener that is in use, without a restart, client certificates still demanded."""
    clock, directory = Clock(), DataDirectory(tmp_path)
    clock.time -= timedelta(days=61)
    own = ServerCertificate(directory, identities.keys.x509, NAMES, clock)
    context = ListenerContext(own.credentials, client_root=identities.keys.x509.root_pem())
    listener = bind(Address("127.0.0.1", 0))
    port = listener.getsockname()[1]
    limits = ListenerLimits(connections=AdmissionLimits(total=9, per_source=9))
    site = TlsSite(web.Application(), listener, context.context, limits)
    await site.start()
    try:
        person = identities.endpoint("ept-aaaaaaaaaaaaaaaa")
        first = await serial_of(port, person)
        assert first == certificate(directory.server_credentials).serial_number
        context.reload_if_changed()
        assert await serial_of(port, person) == first
        clock.time += timedelta(days=61)
        assert own.renew_if_due()
        context.reload_if_changed()
        renewed = certificate(directory.server_credentials).serial_number
        assert renewed != first
        assert await serial_of(port, person) == renewed
        assert context.context.verify_mode is ssl.CERT_REQUIRED
    finally:
        await site.close()


def test_bad_replacement_is_not_taken(identities: Identities, caplog: pytest.LogCaptureFixture) -> None:
    """Files that changed into something unusable are told of, and what was loaded stays; later ones are taken."""
    caplog.set_level(logging.INFO)
    credentials = identities.server_credentials()
    good = credentials.certificate.read_bytes()
    context = ListenerContext(credentials)
    for change in (lambda: credentials.certificate.write_text("nonsense"), credentials.certificate.unlink):
        change()
        context.reload_if_changed()
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    credentials.certificate.write_bytes(good)
    credentials.certificate.chmod(0o600)
    context.reload_if_changed()
    assert caplog.records[-1].getMessage().startswith("loaded")


def test_unusable_credentials(identities: Identities, tmp_path: Path) -> None:
    """Missing, open or unfitting files are named."""
    one, two = identities.server_credentials(), identities.server_credentials()
    with pytest.raises(CredentialsError, match="cannot be used for TLS"):
        ListenerContext(TlsCredentials(one.certificate, two.key))
    two.key.chmod(0o640)
    with pytest.raises(CredentialsError, match="chmod 600"):
        ListenerContext(two)
    with pytest.raises(CredentialsError, match=r"none\.pem"):
        ListenerContext(TlsCredentials(one.certificate, tmp_path / "none.pem"))
