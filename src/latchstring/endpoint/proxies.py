"""Which HTTP proxy leads to a host: the one that is set, else the environment's (HTTPS_PROXY, NO_PROXY)."""

import base64
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

_DEFAULT_PORT: Final = 3128


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. Credentials are never printed."""

    host: str
    port: int
    authorization: str | None = field(repr=False)
    """The value of ``Proxy-Authorization``, if the address has credentials."""


def parse_proxy(url: str) -> Proxy:
    """Return the proxy that ``url`` names.

    Raises:
        ValueError: it names none that can be used.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError as error:
        raise ValueError("not the address of a proxy; write it like http://proxy.example.test:3128") from error
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError("not the address of an HTTP proxy; write it like http://proxy.example.test:3128")
    return Proxy(host=parts.hostname, port=port or _DEFAULT_PORT, authorization=_basic(parts))


def find_proxy(configured: str | None, host: str) -> Proxy | None:
    """Return the proxy that leads to ``host``; None if the way is straight.

    Raises:
        ValueError: the environment names something that is no proxy.
    """
    if configured is not None:
        return parse_proxy(configured)
    url = getproxies_environment().get("https")
    if not url or proxy_bypass(host):
        return None
    return parse_proxy(url)


def _basic(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"
