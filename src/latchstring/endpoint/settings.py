"""Settings of the connection (``endpoint.toml``): how this machine gets out. All have defaults.

proxy = "http://proxy.example.test:3128"    # an HTTP proxy for the control channel and the relay
relay = "relay.example.test:7022"           # the only relay that is dialled, in place of the enrolment's
"""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from latchstring.endpoint.proxies import parse_proxy
from latchstring.endpoint.relay_address import RelayAddress
from latchstring.endpoint.toml_file import read_toml
from latchstring.protocol.grants import Frozen


def _check_proxy(text: str) -> str:
    parse_proxy(text)
    return text


def _check_relay(text: str) -> str:
    RelayAddress.parse(text)
    return text


class Settings(Frozen):
    """What ``endpoint.toml`` may say."""

    proxy: Annotated[str, AfterValidator(_check_proxy)] | None = None
    relay: Annotated[str, AfterValidator(_check_relay)] | None = None


def read_settings(path: Path) -> Settings:
    """Return the settings in the file at ``path``.

    Raises:
        SettingsFileError: it cannot be read or meant.
    """
    return read_toml(path, Settings)
