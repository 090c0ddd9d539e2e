"""The customer's policy, and the decision on one offer. Pure.

The policy can only take away: a grant is what was offered, cut down to what the policy names.
"""

from dataclasses import dataclass
from typing import Annotated, Final, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from latchstring.endpoint.ssh.ports import Service
from latchstring.protocol.access import AccessMode
from latchstring.protocol.capabilities import FORWARD_PREFIX, Capability, parse_service_name
from latchstring.protocol.durations import parse_duration
from latchstring.protocol.endings import Reason
from latchstring.protocol.grants import MAX_DURATION_SECONDS, Frozen, Offer

MAX_SERVICES: Final = 64
MAX_PORT: Final = 65535
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _service(value: object) -> object:
    if not isinstance(value, str):
        return value
    host, _, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= MAX_PORT:
        raise ValueError(f"{value[:80]!r} is not an address; write it like 127.0.0.1:8088")
    return Service(host, int(port))


ServiceName = Annotated[str, BeforeValidator(lambda text: parse_service_name(str(text)))]
ServiceAddress = Annotated[Service, BeforeValidator(_service)]
AccountName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_.-]{0,31}\$?$")]
LongestSession = Annotated[int, BeforeValidator(_seconds), Field(ge=1, le=MAX_DURATION_SECONDS)]
IdleTimeout = Annotated[int, BeforeValidator(_seconds), Field(ge=1, le=_DAY)]
ConsentTimeout = Annotated[int, BeforeValidator(_seconds), Field(ge=1, le=_HOUR)]


class Policy(Frozen):
    """What ``policy.toml`` may say. Durations are in seconds here, and written like ``15m`` in the file.

    Attributes:
        access: the switch at the agent's first start.
        run_as: the account of the sessions' processes; None is the agent's own.
        capabilities: what may be granted at all; None is everything.
        services: what may be forwarded to, name to address.
        longest_session: the most that a session may last.
        idle_timeout: how long a session may be without an SSH connection.
        consent_timeout: how long a request waits for an answer.
        max_sessions: how many sessions may be live at once.
        controller_grace_seconds: how long sessions outlive the connection to the controller.
    """

    access: AccessMode = AccessMode.ASK
    run_as: AccountName | None = None
    capabilities: tuple[Capability, ...] | None = None
    services: dict[ServiceName, ServiceAddress] = Field(default_factory=dict, max_length=MAX_SERVICES)
    longest_session: LongestSession = _DAY
    idle_timeout: IdleTimeout = 15 * _MINUTE
    consent_timeout: ConsentTimeout = 10 * _MINUTE
    max_sessions: Annotated[int, Field(ge=1, le=1000)] = 32
    controller_grace_seconds: Annotated[int, Field(ge=0, le=300)] = 15

    @model_validator(mode="after")
    def _forwards_have_services(self) -> Self:
        for capability in self.capabilities or ():
            service = capability.removeprefix(FORWARD_PREFIX)
            if capability.startswith(FORWARD_PREFIX) and service not in self.services:
                raise ValueError(f"capability {capability} needs {service!r} under [services]")
        return self

    def allows(self, capability: str) -> bool:
        """Return whether a session may have ``capability`` at all."""
        if capability.startswith(FORWARD_PREFIX) and capability.removeprefix(FORWARD_PREFIX) not in self.services:
            return False
        return self.capabilities is None or capability in self.capabilities


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be granted for an offer; ``ask`` says whether a person has to say yes first."""

    capabilities: tuple[str, ...]
    duration_seconds: int
    ask: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The offer is refused without asking anybody."""

    reason: Reason


def decide(policy: Policy, offer: Offer, *, mode: AccessMode, sessions: int) -> Allowed | Refused:
    """Decide on an offer.

    1. Access off refuses everything.
    2. What the policy does not name is taken out of the offer; nothing left is a refusal.
    3. No more sessions at once than the policy allows.
    4. ``on`` grants, ``ask`` asks.

    Args:
        policy: the customer's.
        offer: for this endpoint.
        mode: the customer's switch, now.
        sessions: how many are live or being opened.
    """
    if mode is AccessMode.OFF:  # 1
        return Refused(Reason.ACCESS_OFF)
    capabilities = tuple(capability for capability in offer.capabilities if policy.allows(capability))
    if not capabilities:  # 2
        return Refused(Reason.POLICY)
    if sessions >= policy.max_sessions:  # 3
        return Refused(Reason.TOO_MANY_SESSIONS)
    duration = min(offer.duration_seconds, policy.longest_session)
    return Allowed(capabilities, duration, ask=mode is not AccessMode.ON)  # 4
