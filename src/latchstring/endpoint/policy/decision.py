"""What a policy makes of an offer: (policy, state, request, now) → allow, ask or refuse. Pure.

A policy can only take away: what is allowed is what was offered, cut down to what the policy names.
"""

from dataclasses import dataclass
from datetime import datetime

from latchstring.endpoint.policy.schema import Policy, Ruling
from latchstring.endpoint.policy.windows import closing_time, next_opening
from latchstring.protocol.access import AccessMode
from latchstring.protocol.endings import Reason
from latchstring.protocol.grants import MIN_DURATION_SECONDS, Offer


@dataclass(frozen=True, slots=True)
class State:
    """What a decision depends on beside policy, request and time.

    Attributes:
        mode: the customer's switch.
        sessions: how many sessions are live or being opened.
    """

    mode: AccessMode
    sessions: int


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be granted for an offer; made as one of its two kinds."""

    capabilities: tuple[str, ...]
    duration_seconds: int

    def within(self, other: "Allowed") -> "Allowed":
        """Return what both allow."""
        both = tuple(capability for capability in self.capabilities if capability in other.capabilities)
        return Allowed(both, min(self.duration_seconds, other.duration_seconds))


@dataclass(frozen=True, slots=True)
class Allow(Allowed):
    """It is granted without a question."""


@dataclass(frozen=True, slots=True)
class Ask(Allowed):
    """Somebody at the customer's has to say yes first."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """It is refused without a question. ``opens_at`` is when asking again may help, if a window is the reason."""

    reason: Reason
    opens_at: datetime | None = None


def decide(policy: Policy, state: State, offer: Offer, now: datetime) -> Allow | Ask | Refuse:
    """Decide on an offer.

    1. Access off refuses everything.
    2. So does a policy that accepts neither the engineer nor the purpose.
    3. What it refuses is taken out of the offer; nothing left is a refusal.
    4. Outside the windows nothing opens, and nothing lasts beyond the end of one.
    5. No more sessions at once than it allows.
    6. ``ask`` asks; so does ``on`` if anything is left of which the policy says ``ask``.

    Args:
        policy: the customer's.
        state: of the endpoint, now.
        offer: for this endpoint.
        now: with a time zone.
    """
    if state.mode is AccessMode.OFF:  # 1
        return Refuse(Reason.ACCESS_OFF)
    unwelcome = refusal(policy, offer)
    if unwelcome is not None:  # 2
        return Refuse(unwelcome)
    capabilities = tuple(wanted for wanted in offer.capabilities if policy.ruling(wanted) is not Ruling.REFUSE)
    if not capabilities:  # 3
        return Refuse(Reason.POLICY)
    duration = min(offer.duration_seconds, policy.longest_session, seconds_open(policy, now))
    if duration < MIN_DURATION_SECONDS:  # 4
        return Refuse(Reason.OUTSIDE_WINDOW, next_opening(policy.windows, policy.zone, now))
    if state.sessions >= policy.max_sessions:  # 5
        return Refuse(Reason.TOO_MANY_SESSIONS)
    asks = state.mode is AccessMode.ASK or any(policy.ruling(wanted) is Ruling.ASK for wanted in capabilities)
    return Ask(capabilities, duration) if asks else Allow(capabilities, duration)  # 6


def refusal(policy: Policy, offer: Offer) -> Reason | None:
    """Return why the policy accepts nothing from this engineer, or nothing for this purpose; None if it does."""
    if not policy.accepts_engineer(offer.engineer.email):
        return Reason.ENGINEER_NOT_ACCEPTED
    if policy.purposes is not None and offer.purpose not in policy.purposes:
        return Reason.PURPOSE_NOT_ACCEPTED
    return None


def seconds_open(policy: Policy, now: datetime) -> int:
    """Return for how long the policy's windows are still open; 0 if they are not, a long time if there are none."""
    if not policy.windows:
        return policy.longest_session
    closes = closing_time(policy.windows, policy.zone, now)
    return 0 if closes is None else int((closes - now).total_seconds())
