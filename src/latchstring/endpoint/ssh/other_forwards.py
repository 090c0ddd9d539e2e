"""Forwards that do not exist here: remote ones, Unix sockets, tunnels. Each is refused, and leaves a record."""

from abc import ABC, abstractmethod
from typing import Literal

import asyncssh


class OtherForwards(asyncssh.SSHServer, ABC):
    """The part of asyncssh's server object that is asked for them."""

    @abstractmethod
    def refuse_forward(self, target: str) -> Literal[False]:
        """Record a refusal. ``target`` may hold what the client chose: commit to it, never log it."""

    def server_requested(self, listen_host: str, listen_port: int) -> Literal[False]:
        """Refuse ``ssh -R`` from a port."""
        return self.refuse_forward(f"-R {listen_host}:{listen_port}")

    def unix_server_requested(self, listen_path: str) -> Literal[False]:
        """Refuse ``ssh -R`` from a Unix socket."""
        return self.refuse_forward(f"-R {listen_path}")

    def unix_connection_requested(self, dest_path: str) -> Literal[False]:
        """Refuse ``ssh -L`` to a Unix socket."""
        return self.refuse_forward(f"-L {dest_path}")

    def tun_requested(self, unit: int | None) -> Literal[False]:
        """Refuse ``ssh -w`` with ``Tunnel=point-to-point``."""
        return self.refuse_forward(f"-w tun {'any' if unit is None else unit}")

    def tap_requested(self, unit: int | None) -> Literal[False]:
        """Refuse ``ssh -w`` with ``Tunnel=ethernet``."""
        return self.refuse_forward(f"-w tap {'any' if unit is None else unit}")
