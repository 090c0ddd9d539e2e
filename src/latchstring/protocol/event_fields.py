"""Types and closed sets that audit events are made of."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
IpAddress = Annotated[str, StringConstraints(pattern=r"^[0-9a-f.:]{2,45}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+-]{1,32}$")]
Fingerprint = Annotated[str, StringConstraints(pattern=r"^SHA256:[A-Za-z0-9+/]{43}$")]

_OPENING = r"^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:[0-9]{4}-[0-9]{2}-[0-9]{2} )?[0-9]{2}:[0-9]{2} [A-Za-z0-9_+/-]{1,40}$"
Opening = Annotated[str, StringConstraints(pattern=_OPENING)]
"""When a customer's window opens, in the customer's time: ``Mon 08:00 Europe/Berlin``; further away, with the date."""


class Role(StrEnum):
    """What an account of the vendor may do."""

    ENGINEER = "engineer"
    AUDITOR = "auditor"
    ADMIN = "admin"


class DecidedBy(StrEnum):
    """Who decided at the customer's: the stored policy, or a person, and through which door."""

    POLICY = "policy"
    CUSTOMER_CLI = "customer_cli"


class LoginFailure(StrEnum):
    """Why a login failed; people are told only that it did."""

    UNKNOWN_ACCOUNT = "unknown_account"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - the name of a reason
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    ACCOUNT_DISABLED = "account_disabled"


class EnrolmentFailure(StrEnum):
    """Why an enrolment was refused."""

    UNKNOWN_CODE = "unknown_code"
    USED_CODE = "used_code"
    EXPIRED_CODE = "expired_code"
    WRONG_SIGNATURE = "wrong_signature"
    BAD_KEYS = "bad_keys"


class ChannelKind(StrEnum):
    """What an SSH channel of a session was opened for."""

    SHELL = "shell"
    EXEC = "exec"
    SFTP = "sftp"
    FORWARD = "forward"


class ChannelOutcome(StrEnum):
    """How a channel ended."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    CLOSED = "closed"
    CUT = "cut"
    FAILED = "failed"


class RequestRefusal(StrEnum):
    """Why the controller itself turned a request away."""

    ROLE = "role"
    ENDPOINT_OFFLINE = "endpoint_offline"
    TOO_MANY_SESSIONS = "too_many_sessions"
    TOO_MANY_REQUESTS = "too_many_requests"


class DialRefusal(StrEnum):
    """Why the controller refused to connect an engineer to an endpoint."""

    NOT_LIVE = "not_live"
    ENDPOINT_OFFLINE = "endpoint_offline"
    RELAY_BUSY = "relay_busy"
