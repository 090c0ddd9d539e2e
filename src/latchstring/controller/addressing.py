"""What others dial: from the settings, and from where the listeners are when a port was left to chance."""

from latchstring.controller.addresses import Address
from latchstring.controller.data_directory import BoundAddresses
from latchstring.controller.settings import ControllerSettings
from latchstring.controller.setup_error import SetupError


class PortUnknownError(SetupError):
    """The settings leave a port to chance, and no ``serve`` has told yet which one it got."""


def listen_addresses(settings: ControllerSettings, bound: BoundAddresses | None) -> BoundAddresses:
    """Return where the listeners are: as configured, with the ports of ``bound`` where any was allowed.

    Raises:
        PortUnknownError: a port is not known.
    """
    return BoundAddresses(
        people=_settled(settings.listen, bound.people if bound else None),
        tunnel=_settled(settings.tunnel_listen, bound.tunnel if bound else None),
        relay=_settled(settings.relay_listen, bound.relay if bound else None),
    )


def public_addresses(settings: ControllerSettings, listening: BoundAddresses) -> BoundAddresses:
    """Return what others dial for the three listeners."""
    return BoundAddresses(
        people=settings.public(settings.public_address, listening.people),
        tunnel=settings.public(settings.public_tunnel_address, listening.tunnel),
        relay=settings.public(settings.public_relay_address, listening.relay),
    )


def _settled(configured: Address, bound: Address | None) -> Address:
    if configured.port != 0:
        return configured
    if bound is None:
        raise PortUnknownError(f"{configured} leaves the port to chance: run `latch-controller serve` first")
    return Address(configured.host, bound.port)
