"""What Latchstring's X.509 certificates hold, for those who issue and those who verify. Source: RFC 5280.

One ECDSA P-256 root signs everything directly: server certificates of the controller's listeners, and client
certificates of endpoints. A client certificate names its endpoint twice, as common name and as URI
``latchstring:endpoint:<id>``, and the two must agree.

Validity begins a week before the issue, and a renewal is due after two thirds of the time that remains then, so a clock
that is wrong by days on either side does not break a connection.
"""

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

ENDPOINT_URI_PREFIX: Final = "latchstring:endpoint:"
BACKDATING: Final = timedelta(days=7)
ROOT_LIFETIME: Final = timedelta(days=20 * 365)
LEAF_LIFETIME: Final = timedelta(days=90)


def endpoint_uri(endpoint_id: str) -> str:
    """Return the URI that names an endpoint in its client certificate."""
    return f"{ENDPOINT_URI_PREFIX}{endpoint_id}"


def renewal_due_at(certificate: x509.Certificate) -> datetime:
    """Return the time from which a certificate should be renewed: after 2/3 of its life after the issue (UTC)."""
    issued = certificate.not_valid_before_utc + BACKDATING
    return issued + (certificate.not_valid_after_utc - issued) * 2 / 3


def renewal_due(certificate: x509.Certificate, now: datetime) -> bool:
    """Return whether a certificate should be renewed at ``now``, an aware time."""
    return now >= renewal_due_at(certificate)
