"""The pump's turns: bounded, and none is lost."""

import socket
import struct

import pytest

from latchstring.controller.relay import PairEnding, splice
from relay_parties import RelayUnderTest, receive, receive_exactly, with_relay


@with_relay
async def test_break_behind_more_than_a_turn_is_noticed(relay: RelayUnderTest) -> None:
    """A connection that broke while bytes for several turns were waiting ends after the last of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splice, "_BYTES_PER_FILL", 1000)
        patch.setattr(splice, "_BYTES_PER_TURN", 1000)
        engineer, endpoint = await relay.pair()
        engineer.send(bytes(10_000))
        engineer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        engineer.close()
        assert await receive_exactly(endpoint, 10_000) == bytes(10_000)
        assert await receive(endpoint, 1) == b""
        assert (await relay.closings.next())[2] == 10_000
    assert relay.relay.counters.closed == {PairEnding.BROKEN: 1}
