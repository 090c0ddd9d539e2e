"""The relay alone against HAProxy with ``splice-auto``: one stream and 64 streams, runs interleaved, medians."""

import contextlib
import socket
import statistics
import sys
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from bench import relay_process, stream_load
from bench.peers import haproxy
from bench.result import Result, format_table

_STREAMS: Final = (1, 64)
_MUST: Final = 1.0
_AIM: Final = 1.25
_OURS: Final = "ours"
_SPLICING: Final = "HAProxy splice-auto"
_COPYING: Final = "HAProxy copying, 256 KiB buffers"  # for information: it beats its own splicing here

ConnectPair: TypeAlias = Callable[[], tuple[socket.socket, socket.socket]]


def run(*, quick: bool) -> list[Result]:
    """Measure, and return a row for each number of streams and each way to run the peer."""
    rounds, seconds = (3, 0.5) if quick else (9, 1.5)
    with relay_process.running() as relay, _haproxy() as splicing, _haproxy(copying=True) as copying:
        ways = {_OURS: relay.connect_pair, _SPLICING: splicing, _COPYING: copying}
        return [row for streams in _STREAMS for row in _compare(streams, ways, rounds, seconds)]


def _compare(streams: int, ways: dict[str, ConnectPair], rounds: int, seconds: float) -> list[Result]:
    """Run every way in turn, each round in the opposite order; compare the medians."""
    figures: dict[str, list[float]] = {way: [] for way in ways}
    for round_number in range(rounds):
        for way in list(ways) if round_number % 2 else reversed(ways):
            figures[way].append(_throughput(ways[way], streams, seconds))
    medians = {way: statistics.median(figures[way]) for way in ways}
    return [
        Result(
            name=f"relay, {streams} stream{'' if streams == 1 else 's'}",
            unit="MB/s",
            measured=medians[_OURS],
            peer_name=peer,
            peer=medians[peer],
            must=_MUST if peer == _SPLICING else None,
            aim=_AIM if peer == _SPLICING else None,
        )
        for peer in (_SPLICING, _COPYING)
    ]


def _throughput(connect_pair: ConnectPair, streams: int, seconds: float) -> float:
    pairs = [connect_pair() for _ in range(streams)]
    return stream_load.measure([sender for sender, _ in pairs], [sink for _, sink in pairs], seconds)


@contextlib.contextmanager
def _haproxy(*, copying: bool = False) -> Iterator[ConnectPair]:
    with (
        socket.create_server(("127.0.0.1", 0)) as sink,
        haproxy.running(sink.getsockname()[1], copying=copying) as port,
    ):

        def connect_pair() -> tuple[socket.socket, socket.socket]:
            sender = socket.create_connection(("127.0.0.1", port))
            return sender, sink.accept()[0]

        yield connect_pair


if __name__ == "__main__":
    print(format_table(run(quick="--quick" in sys.argv)))
