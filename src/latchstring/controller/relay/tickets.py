"""The tickets that the relay has issued: single use for each role, short-lived, bounded in number. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field

from latchstring.controller.relay.errors import Refusal, RelayBusyError, TicketError
from latchstring.controller.relay.limits import RelayLimits
from latchstring.protocol import ids
from latchstring.protocol.dial import SECRET_BYTES, PreambleError, Role, UnverifiedPreamble, verify_preamble


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """One dial: an id, and the secrets of its two tickets.

    Attributes:
        engineer_secret: 32 bytes, for the engineer's client alone.
        endpoint_secret: 32 bytes, for the endpoint alone.
        expires: when the tickets lapse, in seconds of the clock that the table is given.
    """

    dial_id: str
    session_id: str
    engineer_secret: bytes = field(repr=False)
    endpoint_secret: bytes = field(repr=False)
    expires: float

    def secret_of(self, role: Role) -> bytes:
        """Return the secret of this role's ticket."""
        return self.engineer_secret if role is Role.ENGINEER else self.endpoint_secret


@dataclass(frozen=True, slots=True)
class ConsumedTicket:
    """A ticket whose holder has proved itself; made by :meth:`TicketTable.consume` alone."""

    dial_id: str
    session_id: str
    role: Role


class TicketTable:
    """Issues tickets and consumes them.

    A dial leaves the table when both of its tickets were consumed, when it expires, or when it is withdrawn. From then
    on its preambles are refused as those of an unknown dial.
    """

    def __init__(self, *, random: Callable[[int], bytes], limits: RelayLimits) -> None:
        self._random = random
        self._limits = limits
        self._dials: dict[str, Dial] = {}  # in the order of issue, which is that of expiry
        self._used: dict[str, Role] = {}
        self._by_session: dict[str, set[str]] = {}

    def __len__(self) -> int:
        """The number of dials with a ticket that can still be used."""
        return len(self._dials)

    def issue(self, session_id: str, now: float, *, pairs: int = 0, pairs_of_session: int = 0) -> Dial:
        """Return a new dial for this session.

        Args:
            session_id: the session.
            now: the time by the table's clock.
            pairs: connections that are relayed now; they count towards the limit.
            pairs_of_session: those of this session.

        Raises:
            RelayBusyError: the relay, or the session, has too many dials under way or relayed.
        """
        self.sweep(now)
        if len(self._dials) + pairs >= self._limits.pairs:
            raise RelayBusyError("the relay has as many connections as it takes")
        if len(self._by_session.get(session_id, ())) + pairs_of_session >= self._limits.pairs_per_session:
            raise RelayBusyError("the session has as many connections as one session may have")
        dial = Dial(
            dial_id=ids.make_id("dia", self._random(ids.RANDOM_BYTES)),
            session_id=session_id,
            engineer_secret=self._random(SECRET_BYTES),
            endpoint_secret=self._random(SECRET_BYTES),
            expires=now + self._limits.ticket_seconds,
        )
        self._dials[dial.dial_id] = dial
        self._by_session.setdefault(session_id, set()).add(dial.dial_id)
        return dial

    def consume(self, preamble: UnverifiedPreamble, now: float) -> ConsumedTicket:
        """Use up the ticket that made this preamble.

        1. The dial is known.
        2. The role's ticket made the preamble. Whoever cannot show this changes nothing, and learns no more.
        3. The ticket has not expired.
        4. The ticket has not been used.

        Raises:
            TicketError: a step failed.
        """
        # 1.
        dial = self._dials.get(preamble.dial_id)
        if dial is None:
            raise TicketError(Refusal.UNKNOWN_DIAL)
        # 2.
        role = preamble.role
        try:
            verify_preamble(
                preamble,
                role=role,
                dial_id=dial.dial_id,
                session_id=dial.session_id,
                secret=dial.secret_of(role),
            )
        except PreambleError as error:
            raise TicketError(Refusal.FORGED) from error
        # 3.
        if now >= dial.expires:
            raise TicketError(Refusal.EXPIRED)
        # 4.
        used = self._used.get(dial.dial_id)
        if used is role:
            raise TicketError(Refusal.USED)
        if used is None:
            self._used[dial.dial_id] = role
        else:
            self.withdraw_dial(dial.dial_id)
        return ConsumedTicket(dial.dial_id, dial.session_id, role)

    def sweep(self, now: float) -> None:
        """Forget the dials that have expired."""
        expired = []
        for dial in self._dials.values():
            if now < dial.expires:
                break
            expired.append(dial.dial_id)
        for dial_id in expired:
            self.withdraw_dial(dial_id)

    def withdraw_dial(self, dial_id: str) -> None:
        """Void what is left of this dial; one that is not known is no error."""
        dial = self._dials.pop(dial_id, None)
        if dial is None:
            return
        self._used.pop(dial_id, None)
        of_session = self._by_session[dial.session_id]
        of_session.discard(dial_id)
        if not of_session:
            del self._by_session[dial.session_id]

    def withdraw_session(self, session_id: str) -> None:
        """Void every ticket of this session."""
        for dial_id in tuple(self._by_session.get(session_id, ())):
            self.withdraw_dial(dial_id)
