"""The one address that this machine dials for sessions. Whatever a controller says, a dial leads nowhere else."""

from dataclasses import dataclass
from typing import Final, Self

_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """A relay's host (a name, or an IP address without brackets) and port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address that ``text`` (``host:port``) names.

        Raises:
            ValueError: it names none.
        """
        host, _, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            host = ""
        if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= _MAX_PORT:
            raise ValueError("not the address of a relay; write it like support.example.test:7022")
        return cls(host, int(port))

    def is_at(self, host: str, port: int) -> bool:
        """Return whether ``host`` and ``port`` are this address as it is written; names have no case."""
        return host.lower() == self.host.lower() and port == self.port
