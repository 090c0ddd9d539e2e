"""HAProxy as a TCP relay: one thread, splicing, no log; otherwise as it comes."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_CONFIGURATION: Final = """
global
    nbthread 1
    maxconn 4096
    maxpipes 4096
    {tuning}
defaults
    mode tcp
    option splice-auto
    no log
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen relay
    bind 127.0.0.1:{port}
    server sink 127.0.0.1:{sink_port}
"""
_COPYING: Final = "nosplice\n    tune.bufsize 262144"
_START_SECONDS: Final = 10


def program() -> str | None:
    """Return where HAProxy is, if it is installed."""
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")


@contextlib.contextmanager
def running(sink_port: int, *, copying: bool = False) -> Iterator[int]:
    """Run HAProxy in front of this port of 127.0.0.1; yields the port that it listens on.

    Args:
        sink_port: where it connects to.
        copying: copy through buffers of 256 KiB instead of splicing.
    """
    found = program()
    if found is None:
        raise FileNotFoundError("haproxy is not installed; try: apt-get install haproxy")
    port = _free_port()
    with tempfile.TemporaryDirectory() as directory:
        configuration = Path(directory, "haproxy.cfg")
        configuration.write_text(
            _CONFIGURATION.format(port=port, sink_port=sink_port, tuning=_COPYING if copying else "")
        )
        with subprocess.Popen([found, "-db", "-f", str(configuration)], stderr=subprocess.DEVNULL) as process:
            try:
                _wait_until_listening(port, process)
                yield port
            finally:
                process.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the port is in the kernel's table of listening sockets, without connecting to it."""
    listening = f"0100007F:{port:04X} 00000000:0000 0A"
    end = time.monotonic() + _START_SECONDS
    while listening not in Path("/proc/net/tcp").read_text():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError("haproxy did not start")
        time.sleep(0.02)
