"""Brings the two sides of a dial together: admits, hears preambles, consumes tickets, waits for both."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass

from latchstring.controller.relay import sockets
from latchstring.controller.relay.arrival import Arrival
from latchstring.controller.relay.counters import Tally
from latchstring.controller.relay.errors import Refusal, TicketError
from latchstring.controller.relay.limits import RelayLimits
from latchstring.controller.relay.lobby import Lobby, source_of
from latchstring.controller.relay.tickets import ConsumedTicket, TicketTable
from latchstring.protocol.dial import PreambleError, Role, Status, parse_preamble

_BUSY = frozenset({Refusal.TOO_MANY_CONNECTIONS, Refusal.TOO_MANY_FROM_SOURCE})


@dataclass(frozen=True, slots=True)
class _Waiting:
    ticket: ConsumedTicket
    arrival: Arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDial:
    """A dial whose two sides are both there and have been told so. The receiver owns the sockets."""

    dial_id: str
    session_id: str
    engineer: socket.socket
    endpoint: socket.socket


class Pairing:
    """Owns every connection that is not paired yet."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        tickets: TicketTable,
        limits: RelayLimits,
        tally: Tally,
        on_paired: Callable[[PairedDial], None],
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._tickets = tickets
        self._limits = limits
        self._tally = tally
        self._on_paired = on_paired
        self._lobby = Lobby(limits)
        self._arrivals: dict[Arrival, _Waiting | None] = {}
        self._waiting: dict[str, _Waiting] = {}

    def __len__(self) -> int:
        """The number of connections that are not paired."""
        return len(self._lobby)

    def admit(self, connection: socket.socket, address: str) -> None:
        """Take a connection that was just accepted, if there is room or room can be made."""
        source = source_of(address)
        if not self._make_room(source):
            sockets.close_with(connection, Status.BUSY.wire)
            return
        arrival = Arrival(connection, source, loop=self._loop, observer=self, seconds=self._limits.answer_seconds)
        self._arrivals[arrival] = None
        self._lobby.enter(arrival)

    def preamble_received(self, arrival: Arrival, received: bytes) -> None:
        """Consume the ticket behind a preamble; pair, or wait for the other side."""
        try:
            ticket = self._tickets.consume(parse_preamble(received), self._clock())
        except PreambleError:
            self._refuse(arrival, Refusal.NOT_A_PREAMBLE)
        except TicketError as error:
            self._refuse(arrival, error.refusal)
        else:
            self._ticket_shown(_Waiting(ticket, arrival))

    def garbage_received(self, arrival: Arrival) -> None:
        """Turn away a stranger who speaks another protocol."""
        self._refuse(arrival, Refusal.NOT_A_PREAMBLE)

    def arrival_left(self, arrival: Arrival) -> None:
        """Forget a connection whose peer went away; its dial is void."""
        self._tally.left += 1
        self._close(arrival, Status.OTHER_SIDE_LEFT)

    def arrival_timed_out(self, arrival: Arrival) -> None:
        """Close a connection that was silent, or whose other side did not come; its dial is void."""
        self._tally.timed_out += 1
        self._close(arrival, Status.TIMED_OUT)

    def cut(self, session_id: str) -> None:
        """Close the session's connections that wait for their other side."""
        for waiting in [each for each in self._waiting.values() if each.ticket.session_id == session_id]:
            self._tally.refused[Refusal.SESSION_CUT] += 1
            self._close(waiting.arrival, Status.OTHER_SIDE_LEFT)

    def close(self) -> None:
        """Close every connection."""
        for arrival in tuple(self._arrivals):
            self._refuse(arrival, Refusal.CLOSING)

    def _make_room(self, source: str) -> bool:
        """Let the connection that is silent longest go, if there is no room. Return False if none is silent."""
        if self._lobby.is_full_for(source):
            refusal, silent = Refusal.TOO_MANY_FROM_SOURCE, self._lobby.longest_silent(source)
        elif self._lobby.is_full():
            refusal, silent = Refusal.TOO_MANY_CONNECTIONS, self._lobby.longest_silent()
        else:
            return True
        if silent is None:
            self._tally.refused[refusal] += 1
            return False
        self._refuse(silent, refusal)
        return True

    def _refuse(self, arrival: Arrival, refusal: Refusal) -> None:
        self._tally.refused[refusal] += 1
        self._close(arrival, Status.BUSY if refusal in _BUSY else Status.REFUSED)

    def _close(self, arrival: Arrival, status: Status) -> None:
        self._forget(arrival)
        arrival.close(status)

    def _forget(self, arrival: Arrival) -> None:
        waiting = self._arrivals.pop(arrival)
        self._lobby.leave(arrival)
        if waiting is not None:
            del self._waiting[waiting.ticket.dial_id]
            self._tickets.withdraw_dial(waiting.ticket.dial_id)

    def _ticket_shown(self, here: _Waiting) -> None:
        there = self._waiting.get(here.ticket.dial_id)
        if there is not None:
            self._pair(here, there)
            return
        self._lobby.has_spoken(here.arrival)
        self._arrivals[here.arrival] = here
        self._waiting[here.ticket.dial_id] = here
        here.arrival.wait()

    def _pair(self, here: _Waiting, there: _Waiting) -> None:
        """Tell both sides, first the one that has waited and may be gone, and hand them over."""
        sides = {}
        for each in (there, here):
            self._forget(each.arrival)
            sides[each.ticket.role] = each.arrival.release()
        first, second = sides.values()
        if not _tell_paired(first):
            self._give_up(first, second, Status.OTHER_SIDE_LEFT.wire)
        elif not _tell_paired(second):
            self._give_up(second, first)
        else:
            self._tally.paired += 1
            self._on_paired(
                PairedDial(
                    dial_id=here.ticket.dial_id,
                    session_id=here.ticket.session_id,
                    engineer=sides[Role.ENGINEER],
                    endpoint=sides[Role.ENDPOINT],
                )
            )

    def _give_up(self, gone: socket.socket, other: socket.socket, last_bytes: bytes = b"") -> None:
        self._tally.left += 1
        sockets.close_with(gone)
        sockets.close_with(other, last_bytes)


def _tell_paired(connection: socket.socket) -> bool:
    """Send the status. Return False if the peer has gone; an empty send buffer always has room for one byte."""
    try:
        return connection.send(Status.PAIRED.wire) == 1
    except OSError:
        return False
