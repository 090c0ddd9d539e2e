"""A load of TCP streams that costs little itself: senders and sinks in processes of their own.

Senders send one large buffer again and again. Sinks discard in the kernel (``MSG_TRUNC``), so no byte is copied out.
"""

import multiprocessing
import select
import socket
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Final

_BUFFER_BYTES: Final = 1024 * 1024
_DISCARD_BYTES: Final = 8 * 1024 * 1024
_WARM_UP_SECONDS: Final = 0.3

_fork = multiprocessing.get_context("fork")


def measure(senders: Sequence[socket.socket], sinks: Sequence[socket.socket], seconds: float) -> float:
    """Return the throughput of all streams together in MB/s (10^6 bytes), after a warm-up. Closes the sockets."""
    ours, theirs = _fork.Pipe(duplex=False)
    sending = _fork.Process(target=_send_for_ever, args=(senders, sinks), daemon=True)
    sinking = _fork.Process(target=_sink, args=(sinks, senders, seconds, theirs), daemon=True)
    sinking.start()
    sending.start()
    try:
        return float(ours.recv())
    finally:
        for process in (sending, sinking):
            process.kill()
            process.join()
        for connection in (*senders, *sinks):
            connection.close()


def _send_for_ever(senders: Sequence[socket.socket], sinks: Sequence[socket.socket]) -> None:
    _close(sinks)
    buffer = memoryview(bytes(_BUFFER_BYTES))
    if len(senders) == 1:
        senders[0].setblocking(True)
        while True:
            senders[0].sendall(buffer)
    by_descriptor, epoll = _watch(senders, select.EPOLLOUT)
    while True:
        for descriptor, _ in epoll.poll():
            by_descriptor[descriptor].send(buffer)


def _sink(sinks: Sequence[socket.socket], senders: Sequence[socket.socket], seconds: float, answer: Connection) -> None:
    _close(senders)
    by_descriptor, epoll = _watch(sinks, select.EPOLLIN)
    buffer = bytearray(_DISCARD_BYTES)  # never written to, so never in memory
    _discard(by_descriptor, epoll, buffer, _WARM_UP_SECONDS)
    began = time.perf_counter()
    count = _discard(by_descriptor, epoll, buffer, seconds)
    answer.send(count / (time.perf_counter() - began) / 1e6)


def _discard(by_descriptor: dict[int, socket.socket], epoll: select.epoll, buffer: bytearray, seconds: float) -> int:
    """Discard what comes for that long; return how many bytes."""
    count = 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for descriptor, _ in epoll.poll(0.1):
            count += by_descriptor[descriptor].recv_into(buffer, _DISCARD_BYTES, socket.MSG_TRUNC)
    return count


def _watch(connections: Sequence[socket.socket], events: int) -> tuple[dict[int, socket.socket], select.epoll]:
    epoll = select.epoll()
    for connection in connections:
        connection.setblocking(False)
        epoll.register(connection, events)
    return {connection.fileno(): connection for connection in connections}, epoll


def _close(connections: Sequence[socket.socket]) -> None:
    for connection in connections:
        connection.close()
