"""What the SSH server offers and allows: algorithms, limits, and everything that it has switched off."""

from collections.abc import Callable
from typing import Final

import asyncssh

from latchstring.endpoint.ssh.identity import HostIdentity

CIPHERS: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com")
"""Authenticated ciphers only. The client's order decides (RFC 4253, section 7.1)."""

KEY_EXCHANGES: Final = ("mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org")
MACS: Final = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com")
"""Negotiated although the ciphers do not use them."""

SIGNATURES: Final = ("ssh-ed25519",)

SERVER_VERSION: Final = "OpenSSH_compatible_Latchstring"
"""OpenSSH's client tells only servers whose version begins like this that it wants no more output (EOW). Without that,
``ssh host yes | head`` would never end."""

LOGIN_SECONDS: Final = 15
MAX_FAILED_AUTHENTICATIONS: Final = 3
MAX_CHANNELS: Final = 64
KEEPALIVE_SECONDS: Final = 15
MAX_MISSED_KEEPALIVES: Final = 3
REKEY_BYTES: Final = 16 * 1024**3
REKEY_SECONDS: Final = 3600
WINDOW_BYTES: Final = 2 * 1024 * 1024
MAX_PACKET_BYTES: Final = 32 * 1024
MIN_PACKET_BYTES: Final = 1024
"""Clients ask for 16 to 64 KiB."""


def server_options(
    identity: HostIdentity, user_ca: str, server_factory: Callable[[], asyncssh.SSHServer]
) -> asyncssh.SSHServerConnectionOptions:
    """Return the options of one connection.

    Args:
        identity: the host key and certificate to present.
        user_ca: the only authority whose certificates are looked at, on one line.
        server_factory: makes the ``asyncssh.SSHServer`` of the connection.
    """
    return asyncssh.SSHServerConnectionOptions(
        server_factory=server_factory,
        authorized_client_keys=asyncssh.import_authorized_keys(
            f'cert-authority,principals="{identity.endpoint_id}" {user_ca}'
        ),
        server_host_keys=[identity.key_pair],
        server_version=SERVER_VERSION,
        kex_algs=KEY_EXCHANGES,
        encryption_algs=CIPHERS,
        mac_algs=MACS,
        compression_algs=["none"],
        signature_algs=SIGNATURES,
        public_key_auth=True,
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
        allow_pty=True,
        line_editor=False,
        x11_forwarding=False,
        agent_forwarding=False,
        allow_scp=False,
        encoding=None,
        window=WINDOW_BYTES,
        max_pktsize=MAX_PACKET_BYTES,
        login_timeout=LOGIN_SECONDS,
        keepalive_interval=KEEPALIVE_SECONDS,
        keepalive_count_max=MAX_MISSED_KEEPALIVES,
        rekey_bytes=REKEY_BYTES,
        rekey_seconds=REKEY_SECONDS,
    )
