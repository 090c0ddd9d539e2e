"""The lifecycle of a session: one table, the only place where a state follows from a state.

Controller and endpoint each run this table over what happens to a session; ``docs/lifecycle.md`` is generated from it.
A second table says what an event of an endpoint forces on its sessions.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class SessionState(StrEnum):
    """Where a session stands."""

    REQUESTED = "requested"
    AWAITING_CONSENT = "awaiting_consent"
    GRANTED = "granted"
    CONNECTED = "connected"
    IDLE = "idle"
    CLOSED = "closed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    ENDED_BY_CUSTOMER = "ended_by_customer"
    ENDED_BY_VENDOR = "ended_by_vendor"
    LOST = "lost"


class Happening(StrEnum):
    """What can happen to a session."""

    ASK = "ask"
    GRANT = "grant"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    CLOSE = "close"
    EXPIRE = "expire"
    END_BY_CUSTOMER = "end_by_customer"
    END_BY_VENDOR = "end_by_vendor"
    LOSE = "lose"


class EndpointHappening(StrEnum):
    """What can happen to an endpoint with sessions."""

    LOST = "lost"
    ACCESS_OFF = "access_off"
    REVOKED = "revoked"


MEANINGS: Final = MappingProxyType(
    {
        Happening.ASK: "the endpoint puts the question to its customer",
        Happening.GRANT: "policy or customer said yes",
        Happening.REFUSE: "policy or customer said no",
        Happening.WITHDRAW: "the engineer took the request back",
        Happening.CONNECT: "an SSH connection was authenticated",
        Happening.DISCONNECT: "the last SSH connection went away",
        Happening.CLOSE: "the engineer closed it",
        Happening.EXPIRE: "unanswered, idle or at its deadline for too long",
        Happening.END_BY_CUSTOMER: "the customer ended it, or turned access off",
        Happening.END_BY_VENDOR: "the vendor's administrator ended it",
        Happening.LOSE: "the endpoint died, or the parties lost each other",
    }
)

_S = SessionState
_H = Happening

_LIVE_ENDINGS = {
    _H.CLOSE: _S.CLOSED,
    _H.EXPIRE: _S.EXPIRED,
    _H.END_BY_CUSTOMER: _S.ENDED_BY_CUSTOMER,
    _H.END_BY_VENDOR: _S.ENDED_BY_VENDOR,
    _H.LOSE: _S.LOST,
}
_WAITING_ENDINGS = {
    _H.GRANT: _S.GRANTED,
    _H.REFUSE: _S.REFUSED,
    _H.WITHDRAW: _S.WITHDRAWN,
    _H.EXPIRE: _S.EXPIRED,
    _H.END_BY_VENDOR: _S.ENDED_BY_VENDOR,
    _H.LOSE: _S.LOST,
}

TRANSITIONS: Final = MappingProxyType(
    {
        _S.REQUESTED: MappingProxyType({_H.ASK: _S.AWAITING_CONSENT, **_WAITING_ENDINGS}),
        _S.AWAITING_CONSENT: MappingProxyType(_WAITING_ENDINGS),
        _S.GRANTED: MappingProxyType({_H.CONNECT: _S.CONNECTED, **_LIVE_ENDINGS}),
        _S.CONNECTED: MappingProxyType({_H.DISCONNECT: _S.IDLE, **_LIVE_ENDINGS}),
        _S.IDLE: MappingProxyType({_H.CONNECT: _S.CONNECTED, **_LIVE_ENDINGS}),
        **{
            ending: MappingProxyType({})
            for ending in (
                _S.CLOSED,
                _S.REFUSED,
                _S.WITHDRAWN,
                _S.EXPIRED,
                _S.ENDED_BY_CUSTOMER,
                _S.ENDED_BY_VENDOR,
                _S.LOST,
            )
        },
    }
)
"""``state -> happening -> next state``; what is not here cannot happen."""

WAITING: Final = frozenset({_S.REQUESTED, _S.AWAITING_CONSENT})
"""States before a decision."""

LIVE: Final = frozenset({_S.GRANTED, _S.CONNECTED, _S.IDLE})
"""States in which a session may be used."""

ENDED: Final = frozenset(state for state, onward in TRANSITIONS.items() if not onward)
"""States that nothing leaves."""

FORCED: Final = MappingProxyType(
    {
        EndpointHappening.LOST: (_H.LOSE, _H.LOSE),
        EndpointHappening.ACCESS_OFF: (_H.REFUSE, _H.END_BY_CUSTOMER),
        EndpointHappening.REVOKED: (_H.END_BY_VENDOR, _H.END_BY_VENDOR),
    }
)
"""``what happens to an endpoint -> (what that does to a waiting session, to a live one)``."""


class ImpossibleTransitionError(ValueError):
    """Something happened to a session that cannot happen in its state."""

    def __init__(self, state: SessionState, happening: Happening) -> None:
        super().__init__(f"a session that is {state} cannot {happening}")
        self.state = state
        self.happening = happening


def next_state(state: SessionState, happening: Happening) -> SessionState:
    """Return the state that follows.

    Raises:
        ImpossibleTransitionError: the table has no such transition.
    """
    try:
        return TRANSITIONS[state][happening]
    except KeyError:
        raise ImpossibleTransitionError(state, happening) from None


def forced(endpoint_happening: EndpointHappening, state: SessionState) -> Happening | None:
    """Return what an endpoint's happening does to a session in ``state``; None if that session has ended."""
    waiting, live = FORCED[endpoint_happening]
    if state in WAITING:
        return waiting
    return live if state in LIVE else None


def mermaid() -> str:
    """Return the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> requested"]
    lines += [
        f"    {state} --> {target}: {happening}"
        for state, onward in TRANSITIONS.items()
        for happening, target in onward.items()
    ]
    lines += [f"    {state} --> [*]" for state in SessionState if state in ENDED]
    return "\n".join(lines)
