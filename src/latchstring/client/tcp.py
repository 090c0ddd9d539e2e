"""TCP connections out of here: straight, or through the HTTP proxy that the environment names.

The rules are those of ``urllib.request`` and curl: ``HTTPS_PROXY`` or ``https_proxy``, where the lower case wins, and
``NO_PROXY`` or ``no_proxy``. They are written out because ``latch connect`` asks them for every connection, and
``urllib.request`` takes longer to load than all that the command does; a test holds the two side by side.
"""

import errno
import socket
from collections.abc import Callable, Mapping

_SUFFIX = "_proxy"


def open_connection(
    host: str, port: int, *, environment: Mapping[str, str], seconds: float, clock: Callable[[], float]
) -> socket.socket:
    """Return a connection to ``host:port``; what is asked of it may take ``seconds`` too, until the caller says else.

    Args:
        host: name or IP address.
        port: the port.
        environment: says whether a proxy leads there.
        seconds: limit on the whole way, but for the look-up of names.
        clock: monotonic seconds.

    Raises:
        UsageFaultError: the environment names something that is no proxy.
        OSError: it cannot be had; its ``strerror`` names the proxy if that is why.
    """
    url = find_proxy_url(environment, host)
    if url is None:
        connection = connect_straight(host, port, seconds)
    else:
        from latchstring.client.proxies import connect_through, parse_proxy  # noqa: PLC0415 - few need it

        connection = connect_through(parse_proxy(url), host, port, seconds=seconds, clock=clock)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def connect_straight(host: str, port: int, seconds: float) -> socket.socket:
    """Return a connection to the first address of ``host`` that answers; all of them share the ``seconds``.

    Raises:
        OSError: none does. It says what was wrong with the first, which the system holds for the best.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(errno.EINVAL, "there can be no host of that name") from error
    failures = []
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(seconds / len(addresses))
            connection.connect(address)
            connection.settimeout(seconds)
        except OSError as error:
            connection.close()
            failures.append(error)
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failures[0]


def find_proxy_url(environment: Mapping[str, str], host: str) -> str | None:
    """Return the URL of the proxy that leads to ``host``; None if the way is straight."""
    settings: dict[str, str] = {}
    named = [(name, value) for name, value in environment.items() if name[-len(_SUFFIX) :].lower() == _SUFFIX]
    for name, value in named:
        if value:
            settings[name.lower()] = value
    for name, value in named:
        if name.endswith(_SUFFIX):
            settings[name.lower()] = value  # an empty one in lower case takes the other back
    url = settings.get("https_proxy")
    return url if url and not _is_excepted(host.lower(), settings.get("no_proxy", "")) else None


def authority(host: str, port: int) -> str:
    """Return ``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_excepted(host: str, exceptions: str) -> bool:
    if exceptions == "*":
        return True
    names = [name.strip().lstrip(".").lower() for name in exceptions.split(",") if name.strip()]
    return any(host == name or host.endswith(f".{name}") for name in names)
