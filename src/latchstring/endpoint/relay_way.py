"""How the relay is reached."""

from enum import StrEnum


class RelayWay(StrEnum):
    """Straight over TCP, or through a WebSocket to the controller."""

    DIRECT = "direct"
    WEBSOCKET = "websocket"
