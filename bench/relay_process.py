"""The relay in a process of its own, on uvloop: prints its port, then a dial for each line that it reads."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

import uvloop

from latchstring.controller.relay import Relay
from latchstring.protocol.dial import Role, Status, encode_preamble, parse_status

_SESSION: Final = "ses-" + "b" * 16


class RelayProcess:
    """The other end of the process: makes pairs of connections through the relay."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._address = ("127.0.0.1", int(self._answer()))

    def connect_pair(self) -> tuple[socket.socket, socket.socket]:
        """Return the engineer's and the endpoint's connection, paired."""
        assert self._process.stdin is not None
        self._process.stdin.write("dial\n")
        self._process.stdin.flush()
        dial = json.loads(self._answer())
        sides = [self._present(role, dial) for role in Role]
        for side in sides:
            assert parse_status(side.recv(1)) is Status.PAIRED
        engineer, endpoint = sides
        return engineer, endpoint

    def _present(self, role: Role, dial: dict[str, str]) -> socket.socket:
        connection = socket.create_connection(self._address)
        secret = bytes.fromhex(dial[role])
        preamble = encode_preamble(role=role, dial_id=dial["dial_id"], session_id=_SESSION, secret=secret)
        connection.sendall(preamble)
        return connection

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextlib.contextmanager
def running() -> Iterator[RelayProcess]:
    """Run the relay in a process of its own."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield RelayProcess(process)
        finally:
            process.kill()


class _NoObserver:
    def connection_closed(
        self, session_id: str, dial_id: str, bytes_from_engineer: int, bytes_from_endpoint: int
    ) -> None:
        """Nobody is told."""


async def _serve() -> None:
    relay = Relay(clock=time.monotonic, random=os.urandom, observer=_NoObserver())
    _, port = await relay.start("127.0.0.1", 0)
    print(port, flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        dial = relay.issue(_SESSION)
        secrets = {Role.ENGINEER: dial.engineer_secret.hex(), Role.ENDPOINT: dial.endpoint_secret.hex()}
        print(json.dumps({"dial_id": dial.dial_id, **secrets}), flush=True)
    await relay.close()


if __name__ == "__main__":
    uvloop.run(_serve())
