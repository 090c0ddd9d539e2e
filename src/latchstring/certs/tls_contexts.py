"""TLS contexts, TLS 1.3 only. Standard library only, so that the client's ProxyCommand can afford them.

A listener needs a context of its own: switching contexts by server name does not switch the verification of client
certificates in Python's ``ssl``.
"""

import ssl
from pathlib import Path
from typing import NamedTuple

from latchstring.certs.keyfiles import KeyFileRefusedError, check_private


class TlsCredentials(NamedTuple):
    """Where a party's certificate chain and its private key are, both in PEM; one file may hold both."""

    certificate: Path
    key: Path


def server_context(credentials: TlsCredentials, *, client_root: bytes | None = None) -> ssl.SSLContext:
    """Return a context for one listener.

    Args:
        credentials: its certificate chain, leaf first, and key.
        client_root: root certificate in PEM. If given, every client must present a certificate below it.

    Raises:
        KeyFileError: the key file is missing, or others can reach it.
        ssl.SSLError: certificate and key do not fit, or cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    _load(context, credentials)
    if client_root is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_root.decode("ascii"))
        # A resumed session does not present its certificate again, so it would outlive expiry and revocation.
        context.num_tickets = 0
    return context


def client_context(
    root: bytes | None, *, credentials: TlsCredentials | None = None, system_trust: bool = False
) -> ssl.SSLContext:
    """Return a context for connections to the controller. Host names are always checked.

    Args:
        root: the pinned root certificate in PEM.
        credentials: the client certificate and key, where the listener demands one.
        system_trust: also trust the system's public authorities, for a listener with a public certificate.

    Raises:
        ValueError: nothing would be trusted.
        KeyFileError: the key file is missing, or others can reach it.
        ssl.SSLError: a certificate cannot be read, or does not fit its key.
    """
    if root is None and not system_trust:
        raise ValueError("a client needs a root or the system's authorities to trust")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.hostname_checks_common_name = False
    if root is not None:
        context.load_verify_locations(cadata=root.decode("ascii"))
    if system_trust:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if credentials is not None:
        _load(context, credentials)
    return context


def unverified_bootstrap_context() -> ssl.SSLContext:
    """Return a context that trusts ANYONE, for one purpose: to fetch a root certificate whose fingerprint is known.

    Send no secret over it. Pass what it brings to ``x509_verify.verify_root``, then connect anew with
    :func:`client_context`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _load(context: ssl.SSLContext, credentials: TlsCredentials) -> None:
    check_private(credentials.key)

    def refuse_passphrase() -> bytes:
        # Without this, OpenSSL would ask on the terminal and a service would hang at its start.
        raise KeyFileRefusedError(f"{credentials.key} is encrypted; a service needs a key without a passphrase")

    context.load_cert_chain(credentials.certificate, credentials.key, password=refuse_passphrase)
