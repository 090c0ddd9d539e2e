"""The customer's switch: off, ask, or on."""

from enum import StrEnum


class AccessMode(StrEnum):
    """What an endpoint does with a request that its policy allows."""

    OFF = "off"
    ASK = "ask"
    ON = "on"
