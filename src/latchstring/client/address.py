"""Where a controller listens for people, as its URL says."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from latchstring.client.errors import UsageFaultError, one_line
from latchstring.client.tcp import authority

DEFAULT_PORT: Final = 443

_HOST = re.compile(r"[0-9A-Za-z._:-]{1,253}")


@dataclass(frozen=True, slots=True)
class Address:
    """A host name or IP address, and a port."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        """``host:port``, with brackets around an IPv6 address."""
        return authority(self.host, self.port)

    @property
    def url(self) -> str:
        """The URL that :func:`parse_url` reads."""
        return f"https://{self.authority}"


def parse_url(text: str) -> Address:
    """Return the address in a controller's URL.

    Raises:
        UsageFaultError: it is no ``https`` URL, or one with more than host and port.
    """
    fault = UsageFaultError(
        f"{one_line(text, 80)!r} is not a controller's URL: write it like https://support.example.test:8443"
    )
    try:
        parts = urlsplit(text)
        port = DEFAULT_PORT if parts.port is None else parts.port
    except ValueError as error:
        raise fault from error
    plain = parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in parts.netloc
    if parts.scheme != "https" or not plain or not parts.hostname or not _HOST.fullmatch(parts.hostname) or port == 0:
        raise fault
    return Address(parts.hostname, port)
