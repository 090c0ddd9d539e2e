"""Why a session was refused or ended, and by whom: closed sets, so that a log can be counted."""

from enum import StrEnum
from types import MappingProxyType
from typing import Final

from latchstring.protocol.session_state import Happening


class Reason(StrEnum):
    """Why a request was refused or a session ended."""

    ACCESS_OFF = "access_off"
    CUSTOMER_REFUSED = "customer_refused"
    POLICY = "policy"
    ENGINEER_NOT_ACCEPTED = "engineer_not_accepted"
    PURPOSE_NOT_ACCEPTED = "purpose_not_accepted"
    OUTSIDE_WINDOW = "outside_window"
    TOO_MANY_SESSIONS = "too_many_sessions"
    SANDBOX_UNAVAILABLE = "sandbox_unavailable"
    JOURNAL_UNAVAILABLE = "journal_unavailable"
    ENDPOINT_OFFLINE = "endpoint_offline"
    UNANSWERED = "unanswered"
    WITHDRAWN = "withdrawn"
    CLOSED_BY_ENGINEER = "closed_by_engineer"
    ENDED_BY_CUSTOMER = "ended_by_customer"
    ENDED_BY_ADMINISTRATOR = "ended_by_administrator"
    ENDPOINT_REVOKED = "endpoint_revoked"
    POLICY_CHANGED = "policy_changed"
    DEADLINE = "deadline"
    IDLE = "idle"
    SANDBOX_DIED = "sandbox_died"
    AGENT_STOPPED = "agent_stopped"
    CONTROLLER_UNREACHABLE = "controller_unreachable"
    CONTROLLER_FORGOT = "controller_forgot"
    ENDPOINT_UNREACHABLE = "endpoint_unreachable"


EXPLANATIONS: Final = MappingProxyType(
    {
        Reason.ACCESS_OFF: "the customer has turned access off",
        Reason.CUSTOMER_REFUSED: "the customer refused this request",
        Reason.POLICY: "the customer's policy does not allow this",
        Reason.ENGINEER_NOT_ACCEPTED: "the customer's policy does not accept this engineer",
        Reason.PURPOSE_NOT_ACCEPTED: "the customer's policy does not accept this purpose",
        Reason.OUTSIDE_WINDOW: "outside the customer's window",
        Reason.TOO_MANY_SESSIONS: "the customer's policy allows no more sessions at once",
        Reason.SANDBOX_UNAVAILABLE: "the customer's machine cannot confine a session",
        Reason.JOURNAL_UNAVAILABLE: "the customer's machine cannot write its journal",
        Reason.ENDPOINT_OFFLINE: "the endpoint is not connected",
        Reason.UNANSWERED: "nobody answered in time",
        Reason.WITHDRAWN: "the engineer took the request back",
        Reason.CLOSED_BY_ENGINEER: "the engineer closed the session",
        Reason.ENDED_BY_CUSTOMER: "the customer ended the session",
        Reason.ENDED_BY_ADMINISTRATOR: "an administrator of the vendor ended the session",
        Reason.ENDPOINT_REVOKED: "the endpoint was revoked",
        Reason.POLICY_CHANGED: "the customer changed the policy",
        Reason.DEADLINE: "the session's time was up",
        Reason.IDLE: "the session was idle for too long",
        Reason.SANDBOX_DIED: "the session's sandbox died",
        Reason.AGENT_STOPPED: "the endpoint's agent was stopped",
        Reason.CONTROLLER_UNREACHABLE: "the endpoint lost its controller for too long",
        Reason.CONTROLLER_FORGOT: "the controller no longer knew the session",
        Reason.ENDPOINT_UNREACHABLE: "the endpoint was gone for too long",
    }
)

HAPPENINGS: Final = MappingProxyType(
    {
        Reason.ACCESS_OFF: Happening.END_BY_CUSTOMER,
        Reason.ENDED_BY_CUSTOMER: Happening.END_BY_CUSTOMER,
        Reason.POLICY_CHANGED: Happening.END_BY_CUSTOMER,
        Reason.CLOSED_BY_ENGINEER: Happening.CLOSE,
        Reason.ENDED_BY_ADMINISTRATOR: Happening.END_BY_VENDOR,
        Reason.ENDPOINT_REVOKED: Happening.END_BY_VENDOR,
        Reason.DEADLINE: Happening.EXPIRE,
        Reason.IDLE: Happening.EXPIRE,
        Reason.SANDBOX_DIED: Happening.LOSE,
        Reason.AGENT_STOPPED: Happening.END_BY_CUSTOMER,
        Reason.CONTROLLER_UNREACHABLE: Happening.LOSE,
        Reason.CONTROLLER_FORGOT: Happening.LOSE,
        Reason.ENDPOINT_UNREACHABLE: Happening.LOSE,
    }
)
"""What each reason for the end of a live session is in the lifecycle's table."""
