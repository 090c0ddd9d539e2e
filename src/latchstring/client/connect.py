"""``latch connect HOST``: the ProxyCommand of ``ssh``, started for every connection.

Standard library only, and as little of it as it takes. In order:

1. Read the login; the controller's root, or the system's authorities, is all that is trusted.
2. Ask the controller to dial (``POST /api/v1/dials``): it answers with the session's certificate and a relay ticket.
3. Write the certificate where ``ssh`` reads it, which it does after this command has ended.
4. Connect to the relay, prove the ticket, wait until the endpoint is there too.
5. Hand the connected socket to ``ssh`` over our standard output (``ProxyUseFdpass``), and end.

Where the relay cannot be reached, the same stream goes through the controller's HTTPS port (``relay_way``).

A dial that is given up on leaves nothing behind: its ticket lapses by itself.
"""

import json
import os
import socket
import ssl
import stat
from collections.abc import Callable, Mapping

from latchstring.client import layout
from latchstring.client.dial_answer import Dial, refusal
from latchstring.client.errors import (
    ClientError,
    HomeError,
    LoginNeededError,
    UnreachableError,
    UsageFaultError,
    one_line,
)
from latchstring.client.lean_https import HTTP_OK, client_context, open_tls, post_json
from latchstring.client.tcp import authority

STANDARD_OUTPUT = 1
DIALS_PATH = "/api/v1/dials"

_MAX_FILE_BYTES = 64 * 1024
_MAX_LABEL = 63
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


class Login:
    """What a connection needs of the login: where the controller is, the token, and the root (PEM) that is trusted."""

    __slots__ = ("host", "port", "root", "token", "user")

    def __init__(self, *, host: str, port: int, user: str, token: str, root: str | None) -> None:
        self.host = host
        self.port = port
        self.user = user
        self.token = token
        self.root = root


class World:
    """What is around the command: the environment, monotonic seconds, and a way to say something to the user."""

    __slots__ = ("clock", "environment", "tell")

    def __init__(self, environment: Mapping[str, str], clock: Callable[[], float], tell: Callable[[str], None]) -> None:
        self.environment = environment
        self.clock = clock
        self.tell = tell


def connect(host: str, *, output: int, world: World) -> None:
    """Connect ``output``, a socket from which ``ssh`` reads a descriptor, to the endpoint called ``host``.

    Args:
        host: ``acme-pbx1.latch`` or ``acme-pbx1``.
        output: descriptor of the socket.
        world: names the client's home, the way to the relay, and proxies.

    Raises:
        ClientError: it could not be done; the message says why and what to do.
    """
    name = endpoint_name(host)
    way = wanted_way(world.environment)
    home = layout.home_directory(world.environment)
    login = read_login(home)  # 1.
    dial = request_dial(login, name, world)  # 2.
    # Only now: who tries this by hand should hear first what the controller says.
    with descriptor_channel(output) as channel:
        write_certificate(home, host, dial.certificate)  # 3.
        with _connect_relay(login, dial, name, way, world) as stream:  # 4.
            try:
                socket.send_fds(channel, [b"\0"], [stream.fileno()])  # 5.
            except OSError as error:
                raise ClientError("ssh did not take the connection: it has ended already") from error


def endpoint_name(host: str) -> str:
    """Return the name of the endpoint that ``host`` means.

    Raises:
        UsageFaultError: it can mean none.
    """
    name = host.removesuffix(layout.HOST_SUFFIX)
    if not 0 < len(name) <= _MAX_LABEL or not _NAME_CHARACTERS.issuperset(name) or "-" in (name[0], name[-1]):
        raise UsageFaultError(f"{one_line(host, 80)!r} is not an endpoint: use a name such as acme-pbx1.latch")
    return name


def wanted_way(environment: Mapping[str, str]) -> str:
    """Return the way to the relay that the user wants, one of ``layout.WAYS``.

    Raises:
        UsageFaultError: there is none of that name.
    """
    way = environment.get(layout.WAY_VARIABLE) or layout.WAY_AUTO
    if way not in layout.WAYS:
        ways = ", ".join(layout.WAYS)
        raise UsageFaultError(f"{layout.WAY_VARIABLE}={one_line(way, 40)!r} is no way to the relay: use one of {ways}")
    return way


def descriptor_channel(output: int) -> socket.socket:
    """Return our own handle of the socket ``output``, over which ``ssh`` takes a descriptor.

    Raises:
        UsageFaultError: ``output`` is something else: ``ssh`` did not start us, or without ``ProxyUseFdpass``.
    """
    fault = UsageFaultError(
        "standard output is not a socket from ssh: this command is its ProxyCommand and needs `ProxyUseFdpass yes`; "
        "`latch ssh-config` prints the whole block"
    )
    try:
        if not stat.S_ISSOCK(os.fstat(output).st_mode):
            raise fault
        channel = socket.socket(fileno=os.dup(output))
    except OSError as error:
        raise fault from error
    if channel.family != socket.AF_UNIX:
        channel.close()
        raise fault
    return channel


def read_login(home: str) -> Login:
    """Read the login that ``latch login`` left.

    Raises:
        LoginNeededError: there is none.
        HomeError: its files are unsafe or damaged.
    """
    damaged = HomeError(f"the login in {home} is damaged: run `latch login` again")
    try:
        config = json.loads(_read_private(f"{home}/{layout.CONFIG_FILE}"))
        host, port, user, token, trust = (config[key] for key in ("host", "port", "user", "token", "trust"))
        root = _read_private(f"{home}/{layout.ROOT_FILE}").decode("ascii") if trust == layout.TRUST_ROOT else None
    except FileNotFoundError as error:
        raise LoginNeededError("you are not logged in: run `latch login URL --user EMAIL`") from error
    except OSError as error:
        raise HomeError(f"the login in {home} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged from error
    if not all(isinstance(text, str) and text.isascii() for text in (host, user)) or not isinstance(port, int):
        raise damaged
    if trust not in (layout.TRUST_ROOT, layout.TRUST_SYSTEM):
        raise damaged
    if token is None:
        raise LoginNeededError(f"you are logged out: run `latch login URL --user {user}`")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise damaged
    return Login(host=host, port=port, user=user, token=token, root=root)


def request_dial(login: Login, name: str, world: World) -> Dial:
    """Ask the controller to connect us to the endpoint ``name``.

    Raises:
        ClientError: it refused, or cannot be reached.
    """
    where = authority(login.host, login.port)
    with _open_https(login, world, _import_ahead) as connection:
        status, body = post_json(
            connection,
            host=where,
            path=DIALS_PATH,
            token=login.token,
            body=json.dumps({"endpoint": name}).encode(),
            clock=world.clock,
        )
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreachableError(
            f"what answers at {where} is not a controller of Latchstring: check the address"
        ) from error
    if status != HTTP_OK:
        raise refusal(answer, status, endpoint=name, user=login.user)
    return Dial(answer)


def write_certificate(home: str, host: str, certificate: str) -> None:
    """Put the session's certificate where the ``CertificateFile`` of ``host`` points, whole or not at all.

    It is not flushed to disk: every connection writes it anew.

    Raises:
        HomeError: it cannot be written.
    """
    directory = f"{home}/{layout.CERTIFICATES_DIRECTORY}"
    path = f"{directory}/{host}{layout.CERTIFICATE_SUFFIX}"
    temporary = f"{path}.{os.getpid()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(temporary, flags, 0o600)
        try:
            os.write(descriptor, f"{certificate}\n".encode("ascii"))
        finally:
            os.close(descriptor)
        os.replace(temporary, path)  # noqa: PTH105 - pathlib would cost a fifth of the time to start
    except OSError as error:
        raise HomeError(f"the session's certificate cannot be written to {directory}: {error.strerror}") from error


def _connect_relay(login: Login, dial: Dial, name: str, way: str, world: World) -> socket.socket:
    """Return a socket whose other end is the SSH server of the endpoint."""
    from latchstring.client.relay_way import connect_relay  # noqa: PLC0415 - imported while the controller answered

    def by_websocket(reason: str) -> socket.socket:
        from latchstring.client.websocket_relay import connect_by_websocket  # noqa: PLC0415 - few need it

        return connect_by_websocket(
            dial,
            name,
            reason=reason,
            open_https=lambda: _open_https(login, world),
            authority=authority(login.host, login.port),
            clock=world.clock,
            tell=world.tell,
        )

    return connect_relay(
        dial, name, way=way, environment=world.environment, clock=world.clock, by_websocket=by_websocket
    )


def _open_https(login: Login, world: World, meanwhile: Callable[[], None] = lambda: None) -> ssl.SSLSocket:
    try:
        context = client_context(login.root)
    except (ValueError, OSError) as error:
        raise HomeError("the stored root certificate is damaged: run `latch login` again") from error
    return open_tls(
        login.host, login.port, context, environment=world.environment, clock=world.clock, meanwhile=meanwhile
    )


def _import_ahead() -> None:
    import latchstring.client.relay_way  # noqa: F401, PLC0415 - its load hides behind the controller's answer


def _read_private(path: str) -> bytes:
    """Return what a file holds that only we can reach."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise HomeError(f"{path} must be a file that only you can read: chown it to yourself and chmod 600 it")
        return os.read(descriptor, _MAX_FILE_BYTES)
    finally:
        os.close(descriptor)
