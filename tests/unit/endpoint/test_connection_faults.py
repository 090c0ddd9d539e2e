"""Why there is no connection, in words for people."""

import socket

import aiohttp
import pytest

from latchstring.endpoint.connection_faults import connection_fault


async def test_nobody_listens() -> None:
    """A refused connection is told with its address, and nothing of how we connect."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get(f"http://127.0.0.1:{port}")
    assert connection_fault(caught.value) == f"127.0.0.1:{port} cannot be reached: Connection refused"


async def test_no_such_name() -> None:
    """A name that nobody knows is told as that."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get("http://nowhere.invalid:8444")
    fault = connection_fault(caught.value)
    assert fault.startswith("nowhere.invalid:8444 cannot be reached: ")
    assert "object at" not in fault
    assert len(fault) > len("nowhere.invalid:8444 cannot be reached: ")


def test_an_error_without_words_is_a_time_out() -> None:
    """What says nothing is a time-out."""
    assert connection_fault(TimeoutError()) == "no answer in time"
