"""What a party says to the relay before SSH begins, and the one byte that the relay answers.

The engineer's client and the endpoint each open a TCP connection to the relay. Each sends one preamble, and waits::

    offset  length  what
         0       8  "LATCHRL" and the version, 0x01
         8       1  the role: "E" the engineer's client, "P" the endpoint
         9      20  the dial id, ASCII, "dia-" and 16 characters
        29      20  the session id, ASCII, "ses-" and 16 characters
        49      32  HMAC-SHA256, with the secret of the role's ticket as the key, over "latchstring relay preamble v1",
                    a zero byte and bytes 0 to 48

A ticket is a dial id, a session id and a secret of 32 bytes for one role. The controller gives the two tickets of a
dial to the two parties. The secret never crosses this wire, and what does cross it is good for one role of one dial,
once, for 15 seconds.

The relay reads exactly these 81 bytes and answers with one byte, a :class:`Status`. ``PAIRED`` goes to both when both
are there: what follows it is the other party's bytes, unaltered, until either closes. After any other status the relay
closes. All refusals look the same, so that a stranger learns nothing from them.

``latch connect`` imports this module before it can do anything, so it uses no typing, dataclasses, re or pydantic:
each of them would cost more than all of the module's work.
"""

import hmac
from enum import IntEnum, StrEnum

PREAMBLE_BYTES = 81
SECRET_BYTES = 32
STATUS_BYTES = 1
TICKET_SECONDS = 15.0
"""How long a ticket can be used after it was issued."""
ANSWER_SECONDS = 15.0
"""How long the relay keeps a connection that has not been paired, counted from its start."""

_MAGIC = b"LATCHRL\x01"
_DOMAIN = b"latchstring relay preamble v1\x00"
_DIGEST = "sha256"
_ROLE = 8
_DIAL_ID = slice(9, 29)
_SESSION_ID = slice(29, 49)
_AUTHENTICATED = slice(0, 49)
_CODE = slice(49, 81)
_DIAL_PREFIX = b"dia-"
_SESSION_PREFIX = b"ses-"
_ID_BYTES = 20
_ID_ALPHABET = b"abcdefghijklmnopqrstuvwxyz234567"


class PreambleError(ValueError):
    """Bytes that are not a preamble, or a preamble that its ticket did not make."""


class Role(StrEnum):
    """Which side of a dial a party is."""

    ENGINEER = "engineer"
    ENDPOINT = "endpoint"


class Status(IntEnum):
    """The relay's answer to a preamble: one byte."""

    PAIRED = 0
    REFUSED = 1
    TIMED_OUT = 2
    BUSY = 3
    OTHER_SIDE_LEFT = 4

    @property
    def wire(self) -> bytes:
        """The byte that is sent."""
        return bytes((self,))


STATUS_MEANING = {
    Status.PAIRED: "connected to the other side",
    Status.REFUSED: "the relay refused the ticket: it was used before, is older than 15 s, or its session has ended",
    Status.TIMED_OUT: "the other side did not come to the relay in time",
    Status.BUSY: "the relay has too many connections that wait; try again in a few seconds",
    Status.OTHER_SIDE_LEFT: "the other side came to the relay and left again, or the session has ended",
}
"""What each status means, for people."""

_ROLE_BYTES = {Role.ENGINEER: b"E", Role.ENDPOINT: b"P"}
_ROLES = {byte[0]: role for role, byte in _ROLE_BYTES.items()}


class UnverifiedPreamble:
    """A preamble of the right form; whoever sent it may have made it up.

    Made by :func:`parse_preamble`. Nothing in it is to be believed before :func:`verify_preamble` has passed.
    """

    __slots__ = ("_raw", "_role")

    def __init__(self, raw: bytes, role: Role) -> None:
        self._raw = raw
        self._role = role

    @property
    def role(self) -> Role:
        """The role that the sender claims."""
        return self._role

    @property
    def dial_id(self) -> str:
        """The dial that the sender claims to belong to."""
        return self._raw[_DIAL_ID].decode("ascii")

    @property
    def session_id(self) -> str:
        """The session that the sender claims to belong to."""
        return self._raw[_SESSION_ID].decode("ascii")

    @property
    def authenticated_bytes(self) -> bytes:
        """The bytes that the code covers."""
        return self._raw[_AUTHENTICATED]

    @property
    def code(self) -> bytes:
        """The message authentication code, 32 bytes."""
        return self._raw[_CODE]

    def __repr__(self) -> str:
        return f"UnverifiedPreamble({self.role}, {self.dial_id}, {self.session_id})"


def encode_preamble(*, role: Role, dial_id: str, session_id: str, secret: bytes) -> bytes:
    """Return the preamble of the party with this ticket.

    Raises:
        ValueError: an id or the secret is not of the right form.
    """
    dial, session = dial_id.encode(), session_id.encode()
    if not _is_identifier(dial, _DIAL_PREFIX) or not _is_identifier(session, _SESSION_PREFIX):
        raise ValueError("a preamble needs a dial id and a session id")
    authenticated = _MAGIC + _ROLE_BYTES[role] + dial + session
    return authenticated + _authenticate(authenticated, secret)


def check_beginning(received: bytes) -> None:
    """Check that ``received`` can be the beginning of a preamble of this version, so that garbage is noticed at once.

    Raises:
        PreambleError: no preamble begins like this.
    """
    length = min(len(received), len(_MAGIC))
    if received[:length] != _MAGIC[:length]:
        raise PreambleError("not a preamble of this version")


def parse_preamble(received: bytes) -> UnverifiedPreamble:
    """Return what is claimed by ``received``, exactly :data:`PREAMBLE_BYTES` bytes from a stranger.

    Raises:
        PreambleError: it is not a preamble of this version.
    """
    if len(received) != PREAMBLE_BYTES:
        raise PreambleError(f"a preamble has {PREAMBLE_BYTES} bytes, not {len(received)}")
    check_beginning(received)
    role = _ROLES.get(received[_ROLE])
    if role is None:
        raise PreambleError("no such role")
    if not _is_identifier(received[_DIAL_ID], _DIAL_PREFIX):
        raise PreambleError("no dial id")
    if not _is_identifier(received[_SESSION_ID], _SESSION_PREFIX):
        raise PreambleError("no session id")
    return UnverifiedPreamble(bytes(received), role)


def verify_preamble(
    unverified: UnverifiedPreamble, *, role: Role, dial_id: str, session_id: str, secret: bytes
) -> None:
    """Check that the holder of the ticket of these ids and this secret made this preamble.

    1. It names the ticket's role, dial and session.
    2. Its code is that of the ticket's secret, compared in constant time.

    Raises:
        PreambleError: a step failed.
    """
    # 1.
    if (unverified.role, unverified.dial_id, unverified.session_id) != (role, dial_id, session_id):
        raise PreambleError("made for another ticket")
    # 2.
    if not hmac.compare_digest(_authenticate(unverified.authenticated_bytes, secret), unverified.code):
        raise PreambleError("not made with the ticket's secret")


def parse_status(received: bytes) -> Status:
    """Return the status in the relay's answer.

    Raises:
        PreambleError: the answer is not one known byte; no byte at all means that the relay closed the connection.
    """
    if not received:
        raise PreambleError("the relay closed the connection without an answer")
    try:
        (value,) = received
        return Status(value)
    except ValueError as error:
        raise PreambleError("the answer is not that of a relay of this version") from error


def _authenticate(authenticated: bytes, secret: bytes) -> bytes:
    """Return the code over the authenticated bytes: 32 bytes."""
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a ticket's secret has {SECRET_BYTES} bytes, not {len(secret)}")
    return hmac.digest(secret, _DOMAIN + authenticated, _DIGEST)


def _is_identifier(text: bytes, prefix: bytes) -> bool:
    return len(text) == _ID_BYTES and text.startswith(prefix) and not text[len(prefix) :].translate(None, _ID_ALPHABET)
