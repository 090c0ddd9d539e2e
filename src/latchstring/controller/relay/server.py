"""The relay: pairs the two connections of a dial and splices them, and cuts them when their session ends.

It carries SSH ciphertext between the engineer's client and the endpoint's SSH server, and holds no key for it.
``protocol/dial.py`` says what a party sends first. All of it runs on one event loop, asyncio's or uvloop's.
"""

import asyncio
import resource
import socket
from collections.abc import Callable
from typing import Final, Protocol

from latchstring.controller.relay import sockets
from latchstring.controller.relay.counters import RelayCounters, Tally
from latchstring.controller.relay.errors import RelayError
from latchstring.controller.relay.limits import RelayLimits
from latchstring.controller.relay.listener import BACKLOG, Listener
from latchstring.controller.relay.pairing import PairedDial, Pairing
from latchstring.controller.relay.pipes import PipePool
from latchstring.controller.relay.splice import PairEnding, SplicedPair
from latchstring.controller.relay.tickets import Dial, TicketTable

_SWEEP_SECONDS: Final = 1.0


class RelayObserver(Protocol):
    """Who is told of relayed connections."""

    def connection_closed(
        self, session_id: str, dial_id: str, bytes_from_engineer: int, bytes_from_endpoint: int
    ) -> None:
        """A relayed connection has closed, for whatever reason. Bytes are ciphertext that the other side has taken.

        Called once for each, from the event loop, after the connection's descriptors were given back.
        """


class Relay:
    """The relay of one controller.

    Args:
        clock: seconds that never run backwards, such as ``loop.time``; tickets expire by it.
        random: returns as many random bytes as it is asked for, such as ``os.urandom``.
        observer: is told of every relayed connection that closes.
        limits: what strangers can take of it; by default, what fits the process's limit of descriptors.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        random: Callable[[int], bytes],
        observer: RelayObserver,
        limits: RelayLimits | None = None,
    ) -> None:
        self._clock = clock
        self._observer = observer
        self._limits = limits or RelayLimits.within(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._tickets = TicketTable(random=random, limits=self._limits)
        self._tally = Tally()
        self._pool = PipePool()
        self._pairs: dict[SplicedPair, PairedDial] = {}
        self._pairs_of_session: dict[str, set[SplicedPair]] = {}
        self._listener: Listener | None = None
        self._pairing: Pairing | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen, and return the host and port that are listened on; port 0 takes one that is free.

        Raises:
            OSError: the host is unknown, or the port is taken.
            RelayError: it has been started already.
        """
        if self._sweeper is not None:
            raise RelayError("the relay has been started already")
        loop = asyncio.get_running_loop()
        family, _, _, _, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
        listening = sockets.listen(family, address, BACKLOG)
        self._pairing = Pairing(
            loop=loop,
            clock=self._clock,
            tickets=self._tickets,
            limits=self._limits,
            tally=self._tally,
            on_paired=self._splice,
        )
        self._listener = Listener(listening, loop=loop, on_connection=self.admit, on_pause=self._count_pause)
        self._sweeper = loop.create_task(self._sweep_for_ever())
        return self._listener.address

    def admit(self, connection: socket.socket, address: str) -> None:
        """Take a connection from the IP address ``address``, whichever listener accepted it."""
        self._tally.accepted += 1
        try:
            sockets.set_up(connection)
        except OSError:  # it has broken already
            connection.close()
            self._tally.left += 1
            return
        if self._pairing is None:
            connection.close()
        else:
            self._pairing.admit(connection, address)

    def issue(self, session_id: str) -> Dial:
        """Return a new dial: one ticket for the engineer's client and one for the endpoint.

        Raises:
            RelayBusyError: too many dials are under way or relayed.
        """
        return self._tickets.issue(
            session_id,
            self._clock(),
            pairs=len(self._pairs),
            pairs_of_session=len(self._pairs_of_session.get(session_id, ())),
        )

    def cut(self, session_id: str) -> None:
        """Void the session's tickets and close its connections, at once and in both directions.

        When it returns, not a byte more is delivered to either side, not even what the kernel held for it. A session
        without tickets and connections is no error.
        """
        self._tickets.withdraw_session(session_id)
        for pair in tuple(self._pairs_of_session.get(session_id, ())):
            pair.cut()
        if self._pairing is not None:
            self._pairing.cut(session_id)

    async def close(self) -> None:
        """Stop listening and close every connection; the observer has been told of each when it returns."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._pairing is not None:
            self._pairing.close()
        for pair in tuple(self._pairs):
            pair.cut()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait({self._sweeper})
        self._pool.close()
        await asyncio.sleep(0)  # the observer's calls that are due

    @property
    def counters(self) -> RelayCounters:
        """A reading of the counters."""
        return self._tally.reading(
            unpaired=0 if self._pairing is None else len(self._pairing),
            pairs=len(self._pairs),
            open_bytes_from_engineer=sum(pair.bytes_from_engineer for pair in self._pairs),
            open_bytes_from_endpoint=sum(pair.bytes_from_endpoint for pair in self._pairs),
        )

    def _count_pause(self) -> None:
        self._tally.accept_pauses += 1

    def _splice(self, dial: PairedDial) -> None:
        pair = SplicedPair(
            loop=asyncio.get_running_loop(),
            pool=self._pool,
            engineer=dial.engineer,
            endpoint=dial.endpoint,
            on_end=self._pair_ended,
        )
        self._pairs[pair] = dial
        self._pairs_of_session.setdefault(dial.session_id, set()).add(pair)
        pair.start()

    def _pair_ended(self, pair: SplicedPair, ending: PairEnding) -> None:
        dial = self._pairs.pop(pair)
        of_session = self._pairs_of_session[dial.session_id]
        of_session.discard(pair)
        if not of_session:
            del self._pairs_of_session[dial.session_id]
        self._tally.closed[ending] += 1
        self._tally.bytes_from_engineer += pair.bytes_from_engineer
        self._tally.bytes_from_endpoint += pair.bytes_from_endpoint
        pair.loop.call_soon(
            self._observer.connection_closed,
            dial.session_id,
            dial.dial_id,
            pair.bytes_from_engineer,
            pair.bytes_from_endpoint,
        )

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self._tickets.sweep(self._clock())
            for pair in tuple(self._pairs):
                pair.end_if_broken()
