"""What a customer's policy can say. One closed schema; durations and sizes are numbers here, and words in the file."""

import re
import zoneinfo
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from latchstring.endpoint.policy.windows import MAX_WINDOWS, Window, ZoneName, parse_window
from latchstring.endpoint.ssh.ports import ANY_PORT, Service
from latchstring.protocol.access import AccessMode
from latchstring.protocol.capabilities import FORWARD_PREFIX, PLAIN, parse_capability, parse_service_name
from latchstring.protocol.durations import parse_duration
from latchstring.protocol.grants import MAX_DURATION_SECONDS, Frozen
from latchstring.protocol.purposes import Purpose

MAX_SERVICES: Final = 64
MAX_ENGINEERS: Final = 256
MAX_PATHS: Final = 256
MAX_PORT: Final = 65535
FORWARD: Final = "forward"
OTHERS: Final = "others"
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
_UNITS: Final = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE: Final = re.compile(r"([0-9]{1,12})([KMGT]?)")
_NOT_TO_HIDE: Final = frozenset(
    map(PurePosixPath, ("/", "/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/usr", "/usr/bin", "/usr/lib"))
)
"""Without these no session runs at all."""


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports from ``first`` to ``last``."""

    first: int
    last: int

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last


class Ruling(StrEnum):
    """What the policy says to a capability."""

    GRANT = "grant"
    ASK = "ask"
    REFUSE = "refuse"


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _bytes(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value)
    if found is None:
        raise ValueError(f"{value[:20]!r} is not a size; write it like 512M or 2G")
    return int(found[1]) * _UNITS[found[2]]


def _service(value: object) -> object:
    if not isinstance(value, str):
        return value
    host, _, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if port == "*":
        if host not in {"127.0.0.1", "::1"}:
            raise ValueError(f"{value[:80]!r}: every port can be named of 127.0.0.1 or ::1 only")
        return Service(host, ANY_PORT)
    if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= MAX_PORT:
        raise ValueError(f"{value[:80]!r} is not an address; write it like 127.0.0.1:8088")
    return Service(host, int(port))


def _path(value: str) -> str:
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or "\0" in value:
        raise ValueError(f"{value[:80]!r} is not an absolute path without '..'")
    return str(path)


def _content_path(value: str) -> str:
    path = _path(value)
    if PurePosixPath(path) in _NOT_TO_HIDE:
        raise ValueError(f"{path} cannot be hidden: no session would run")
    return path


def _ports(value: object) -> object:
    if not isinstance(value, str):
        return value
    first, _, last = value.partition("-")
    numbers = [int(part) for part in (first, last or first) if part.isascii() and part.isdigit() and len(part) < 6]  # noqa: PLR2004
    if len(numbers) != 2 or not 1 <= numbers[0] <= numbers[1] <= MAX_PORT:  # noqa: PLR2004 - first and last
        raise ValueError(f"{value[:20]!r} is not a port or a range of ports; write it like 5038 or 10000-20000")
    return PortRange(*numbers)


def _ruled(key: str) -> str:
    return key if key in {FORWARD, OTHERS} else parse_capability(key)


ServiceName = Annotated[str, BeforeValidator(lambda text: parse_service_name(str(text)))]
ServiceAddress = Annotated[Service, BeforeValidator(_service)]
AccountName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_.-]{0,31}\$?$")]
EngineerPattern = Annotated[
    str, StringConstraints(max_length=254, to_lower=True, pattern=r"^(\*|[!-)+-?A-~]+)@[!-)+-?A-~]+$")
]
"""An e-mail address, or ``*@`` and a domain."""
AbsolutePath = Annotated[str, AfterValidator(_path)]
ContentPath = Annotated[str, AfterValidator(_content_path)]
Ports = Annotated[PortRange, BeforeValidator(_ports)]
Ruled = Annotated[str, AfterValidator(_ruled)]
Size = Annotated[int, BeforeValidator(_bytes), Field(ge=16 * 1024**2, le=2**50)]
LongestSession = Annotated[int, BeforeValidator(_seconds), Field(ge=1, le=MAX_DURATION_SECONDS)]
IdleTimeout = Annotated[int, BeforeValidator(_seconds), Field(ge=1, le=_DAY)]
ConsentTimeout = Annotated[int, BeforeValidator(_seconds), Field(ge=1, le=_HOUR)]


class Limits(Frozen):
    """What all processes of a session may use together.

    Attributes:
        memory: bytes; None is no limit.
        processes: how many at once.
        cpus: processors, such as 1.5; None is no limit.
    """

    memory: Size | None = None
    processes: Annotated[int, Field(ge=8, le=4_000_000)] = 4096
    cpus: Annotated[float, Field(ge=0.05, le=4096)] | None = None


class Policy(Frozen):
    """What ``policy.toml`` may say.

    Attributes:
        access: the switch at the agent's first start.
        access_for: how long ``access on`` holds if nothing else was said; None is for good.
        access_then: what it falls back to then.
        timezone: of the recurring windows.
        windows: when sessions may be opened at all, and until when they last; none is always.
        purposes: which are accepted; None is all.
        engineers: whose requests are accepted, by e-mail address; None is everybody's whom the vendor vouches for.
        capabilities: what is granted, asked for or refused, by capability; see :meth:`ruling`.
        services: what may be forwarded to, name to address.
        run_as: the account of the sessions' processes; None is the agent's own, and if that is root, there are none.
        content_paths: what no session can read, files or directories.
        content_ports: of this machine, which carry content or can be asked for it: no session reaches them.
        read_only_paths: what no session can change.
        network: ``host`` is the machine's, ``none`` a loopback of the session's own.
        limits: what a session may use.
        longest_session: the most that a session may last.
        idle_timeout: how long a session may be without an SSH connection.
        consent_timeout: how long a request waits for an answer.
        max_sessions: how many sessions may be live at once.
        controller_grace_seconds: how long sessions outlive the connection to the controller.
    """

    access: AccessMode = AccessMode.ASK
    access_for: Annotated[int, BeforeValidator(_seconds), Field(ge=1, le=MAX_DURATION_SECONDS)] | None = None
    access_then: Literal[AccessMode.OFF, AccessMode.ASK] = AccessMode.ASK
    timezone: ZoneName = "UTC"
    windows: Annotated[tuple[Annotated[Window, BeforeValidator(parse_window)], ...], Field(max_length=MAX_WINDOWS)] = ()
    purposes: Annotated[tuple[Purpose, ...], Field(min_length=1)] | None = None
    engineers: Annotated[tuple[EngineerPattern, ...], Field(min_length=1, max_length=MAX_ENGINEERS)] | None = None
    capabilities: dict[Ruled, Ruling] = Field(default_factory=dict)
    services: dict[ServiceName, ServiceAddress] = Field(default_factory=dict, max_length=MAX_SERVICES)
    run_as: AccountName | None = None
    content_paths: Annotated[tuple[ContentPath, ...], Field(max_length=MAX_PATHS)] = ()
    content_ports: Annotated[tuple[Ports, ...], Field(max_length=MAX_PATHS)] = ()
    read_only_paths: Annotated[tuple[AbsolutePath, ...], Field(max_length=MAX_PATHS)] = ()
    network: Literal["host", "none"] = "host"
    limits: Limits = Limits()
    longest_session: LongestSession = _DAY
    idle_timeout: IdleTimeout = 15 * _MINUTE
    consent_timeout: ConsentTimeout = 10 * _MINUTE
    max_sessions: Annotated[int, Field(ge=1, le=1000)] = 32
    controller_grace_seconds: Annotated[int, Field(ge=0, le=300)] = 15

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for capability in self.capabilities:
            service = capability.removeprefix(FORWARD_PREFIX)
            if capability.startswith(FORWARD_PREFIX) and service not in self.services:
                raise ValueError(f"[capabilities] {capability} needs {service!r} under [services]")
        if all(self.ruling(capability) is Ruling.REFUSE for capability in self.known_capabilities()):
            raise ValueError("[capabilities] refuses everything; to let nobody in, say access = 'off'")
        if self.content_ports and self.network == "host":
            raise ValueError("content_ports are within reach on the machine's network; say network = 'none' too")
        for name, address in self.services.items():
            if any(address.port in ports for ports in self.content_ports):
                raise ValueError(f"[services] {name} is at port {address.port}, which is one of content_ports")
        if self.access_for is None and "access_then" in self.model_fields_set:
            raise ValueError("access_then says what follows access_for, which is missing")
        return self

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The time zone of the recurring windows."""
        return zoneinfo.ZoneInfo(self.timezone)

    def time_for(self, mode: AccessMode, seconds: int | None) -> tuple[int | None, AccessMode | None]:
        """Return how long a mode holds for which ``seconds`` or nothing was said, and what follows if not as usual."""
        if seconds is None and mode is AccessMode.ON and self.access_for is not None:
            return self.access_for, self.access_then
        return seconds, None

    def known_capabilities(self) -> tuple[str, ...]:
        """Return every capability that a session could have here."""
        return (*PLAIN, *(FORWARD_PREFIX + name for name in sorted(self.services)))

    def ruling(self, capability: str) -> Ruling:
        """Return what is said to a capability: by its name, else by ``forward`` if it is one, else by ``others``.

        A capability of which nothing is said is granted as the switch says; a forward to what is no service, refused.
        """
        if capability.startswith(FORWARD_PREFIX) and capability.removeprefix(FORWARD_PREFIX) not in self.services:
            return Ruling.REFUSE
        keys = [capability, *([FORWARD] if capability.startswith(FORWARD_PREFIX) else []), OTHERS]
        return next((self.capabilities[key] for key in keys if key in self.capabilities), Ruling.GRANT)

    def accepts_engineer(self, email: str) -> bool:
        """Return whether requests of the account with this address are accepted."""
        if self.engineers is None:
            return True
        address = email.lower()
        domain = "*@" + address.rpartition("@")[2]
        return address in self.engineers or domain in self.engineers
