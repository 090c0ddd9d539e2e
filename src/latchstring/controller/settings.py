"""The controller's settings: ``controller.toml`` in its data directory, written by ``init`` and read by ``serve``.

The ``listen`` addresses are bound; the ``public`` ones are what others
dial, and default to the listen host if it is a specific one, else to the controller's name. Port 0 takes any free port.
"""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from latchstring.controller.addresses import Address, parse_address, parse_name
from latchstring.controller.setup_error import SetupError

MAX_SETTINGS_BYTES: Final = 64 * 1024


class SettingsError(SetupError):
    """The settings cannot be read, or contradict each other."""


def _address(value: object) -> object:
    return parse_address(value) if isinstance(value, str) else value


def _dialable(address: Address | None) -> Address | None:
    if address is not None and (address.is_wildcard or address.port == 0):
        raise ValueError(f"{address} cannot be dialled; name the host and the port that others connect to")
    return address


ListenAddress = Annotated[Address, BeforeValidator(_address), PlainSerializer(str)]
PublicAddress = Annotated[
    Address | None, BeforeValidator(_address), AfterValidator(_dialable), PlainSerializer(lambda a: str(a) if a else "")
]


class ControllerSettings(BaseModel):
    """What an administrator decides about a controller."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(parse_name)] = Field(
        description="The controller's name: the DNS name under which people reach it. It is part of every log's origin."
    )
    listen: ListenAddress = Field(description="HTTPS for people: API, console, enrolment.")
    tunnel_listen: ListenAddress = Field(description="Control channels of endpoints; a client certificate is required.")
    relay_listen: ListenAddress = Field(description="The relay, which carries SSH ciphertext.")
    public_address: PublicAddress = Field(default=None, description="What people and enrolling endpoints dial.")
    public_tunnel_address: PublicAddress = Field(default=None, description="What enrolled endpoints dial.")
    public_relay_address: PublicAddress = Field(default=None, description="Where endpoints and engineers meet.")

    def public(self, configured: Address | None, bound: Address) -> Address:
        """Return what others dial for a listener that is bound to ``bound``."""
        if configured is not None:
            return configured
        return Address(self.name if bound.is_wildcard else bound.host, bound.port)

    def server_names(self) -> tuple[str, ...]:
        """Return the names and IP addresses that the server certificate covers, the controller's name first."""
        listeners = (self.listen, self.tunnel_listen)
        publics = (self.public_address, self.public_tunnel_address)
        names = [self.name, *(address.host for address in listeners if not address.is_wildcard)]
        names += [address.host for address in publics if address is not None]
        if any(address.is_loopback for address in listeners):
            names.append("localhost")
        return tuple(dict.fromkeys(names))


def dump_settings(settings: ControllerSettings) -> str:
    """Return ``settings`` as TOML, each key behind a comment that says what it is for."""
    lines = ["# Settings of a Latchstring controller. Read when `latch-controller serve` starts.", ""]
    values = settings.model_dump(mode="json")
    for key, field in ControllerSettings.model_fields.items():
        lines.append(f"# {field.description}")
        # A JSON string of the characters that names and addresses may have is a TOML string as well.
        lines.append(f"{key} = {json.dumps(values[key])}" if values[key] else f'# {key} = "HOST:PORT"')
        lines.append("")
    return "\n".join(lines)


def load_settings(path: Path) -> ControllerSettings:
    """Read the settings.

    Raises:
        SettingsError: the file is missing or malformed, or a key is unknown or wrong; the message names file and key.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_SETTINGS_BYTES).decode()
        return ControllerSettings.model_validate(tomllib.loads(text))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        raise SettingsError(f"{path}: {explain(error)}") from error


def explain(error: ValidationError) -> str:
    """Return the first thing that is wrong, on one line: the key and the reason, without the value."""
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "settings"
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}"
    if first["type"] == "missing":
        return f"key {key!r} is missing"
    return f"{key}: {first['msg'].removeprefix('Value error, ')}"
