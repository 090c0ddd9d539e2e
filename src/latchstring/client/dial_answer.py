"""The controller's answer to a dial, checked by hand: ``latch connect`` cannot afford pydantic.

The same fields and forms as ``protocol.api.DialResponse``; a test holds the two side by side.
"""

from latchstring.client.errors import (
    ClientError,
    LoginNeededError,
    RefusedError,
    UnreachableError,
    one_line,
)

_CERTIFICATE_PREFIX = "ssh-ed25519-cert-v01@openssh.com "
_MAX_CERTIFICATE = 4000
_SECRET_DIGITS = 64
_IDENTIFIER_LENGTH = 20
_MAX_HOST = 253
_MAX_PORT = 65535
_IDENTIFIER = frozenset("abcdefghijklmnopqrstuvwxyz234567")
_HEX = frozenset("0123456789abcdef")
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_HOST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:_-")


class Dial:
    """A certificate for ``ssh``, and a ticket for the relay.

    Raises:
        UnreachableError: the answer is not of the form that this version knows.
    """

    __slots__ = ("certificate", "dial_id", "relay_host", "relay_port", "secret", "session_id")

    def __init__(self, answer: object) -> None:
        if not isinstance(answer, dict):
            raise _not_understood("it is no object")
        self.session_id = _identifier(answer, "session_id", "ses-")
        self.dial_id = _identifier(answer, "dial_id", "dia-")
        self.certificate = _certificate(answer)
        self.relay_host = _text(answer, "relay_host", _HOST, _MAX_HOST)
        self.relay_port = _port(answer)
        self.secret = bytes.fromhex(_text(answer, "secret", _HEX, _SECRET_DIGITS, exactly=True))

    def __repr__(self) -> str:
        return f"Dial({self.dial_id}, {self.session_id}, {self.relay_host}:{self.relay_port})"


def refusal(answer: object, status: int, *, endpoint: str, user: str) -> ClientError:
    """Return the error for an answer that is not a dial: problem details (RFC 9457) with a stable code."""
    fields = answer if isinstance(answer, dict) else {}
    code, detail = fields.get("code"), fields.get("detail")
    if not isinstance(code, str) or not isinstance(detail, str):
        return UnreachableError(f"the controller answered {status} without saying why: check its address")
    known: dict[str, ClientError] = {
        "no_live_session": ClientError(
            f"no open session on {endpoint}: open one with `latch open {endpoint} --purpose …`"
        ),
        "unknown_endpoint": ClientError(f"the controller knows no endpoint {endpoint!r}: `latch endpoints` lists them"),
        "endpoint_offline": UnreachableError(
            f"{endpoint} is not connected to the controller: try again when `latch endpoints` shows it online"
        ),
        "login_expired": LoginNeededError(f"your login has expired: run `latch login URL --user {user}`"),
        "not_authenticated": LoginNeededError(f"your login is not valid: run `latch login URL --user {user}`"),
        "wrong_role": RefusedError(one_line(detail)),
        "refused": RefusedError(one_line(detail)),
    }
    return known.get(code, ClientError(f"the controller says: {one_line(detail)}"))


def _identifier(answer: dict[str, object], key: str, prefix: str) -> str:
    value = answer.get(key)
    if (
        not isinstance(value, str)
        or len(value) != _IDENTIFIER_LENGTH
        or not value.startswith(prefix)
        or not _IDENTIFIER.issuperset(value.removeprefix(prefix))
    ):
        raise _not_understood(f"{key} is no identifier")
    return value


def _certificate(answer: dict[str, object]) -> str:
    value = answer.get("certificate")
    if not isinstance(value, str) or len(value) > _MAX_CERTIFICATE or not value.startswith(_CERTIFICATE_PREFIX):
        raise _not_understood("certificate is no SSH certificate")
    # What follows the type is written into a file that ssh reads: one word of base64, nothing after it.
    encoded = value.removeprefix(_CERTIFICATE_PREFIX)
    if not encoded or not _BASE64.issuperset(encoded):
        raise _not_understood("certificate is no SSH certificate")
    return value


def _text(answer: dict[str, object], key: str, allowed: frozenset[str], length: int, *, exactly: bool = False) -> str:
    value = answer.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= length or not allowed.issuperset(value):
        raise _not_understood(f"{key} has not its form")
    if exactly and len(value) != length:
        raise _not_understood(f"{key} has not its form")
    return value


def _port(answer: dict[str, object]) -> int:
    value = answer.get("relay_port")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MAX_PORT:
        raise _not_understood("relay_port is no port")
    return value


def _not_understood(what: str) -> ClientError:
    return UnreachableError(f"the controller's answer is not understood ({what}): update latchstring")
