"""What Latchstring's SSH certificates hold, for those who issue and those who verify.

Source: OpenSSH PROTOCOL.certkeys.

A *session certificate* (type user) has key id = session id, one principal = endpoint id, the engineer's own public
key, no critical option, and the digest of the customer's grant in the extension :data:`GRANT_EXTENSION`. A *host
certificate* has key id = endpoint name, and one principal, ``<endpoint name>.latch``. Both are Ed25519 throughout, and
both are valid forever: what ends a session is the endpoint's monotonic clock, so that a wrong wall clock on a site
never shows as "access denied".

Why the digest is an extension and not a critical option: a server must refuse a certificate with a critical option that
it does not know, and asyncssh, the endpoint's server, knows ``force-command`` and ``source-address`` only. It can be
taught others only through its private tables. Nothing is lost: our verification demands the digest in every case, and
no other server has a reason to trust this authority.
"""

from typing import Final

GRANT_EXTENSION: Final = b"grant-sha256@latchstring.dev"
"""Value: the SHA-256 of the grant's canonical bytes, in 64 characters of lower-case hex."""

PERMITTED: Final = (b"permit-port-forwarding", b"permit-pty")
"""Extensions without which servers refuse before policy is asked. Agent and X11 forwarding are not among them."""

HOST_SUFFIX: Final = ".latch"
VALID_FROM: Final = 0
VALID_FOREVER: Final = 2**64 - 1


def host_principal(endpoint_name: str) -> str:
    """Return the host name under which engineers reach an endpoint."""
    return f"{endpoint_name}{HOST_SUFFIX}"
