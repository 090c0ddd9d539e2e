"""Wires the services of a serving controller to each other. It makes nothing happen by itself."""

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from latchstring import __version__
from latchstring.controller.administration import Foundation
from latchstring.controller.api.application import make_application
from latchstring.controller.api.audit import audit_routes
from latchstring.controller.api.login import login_routes
from latchstring.controller.api.public import described, public_routes
from latchstring.controller.api.routes import Route
from latchstring.controller.api.sessions import dial_routes, endpoint_routes, session_routes
from latchstring.controller.bus import LocalBus
from latchstring.controller.channels.hub import ChannelHub
from latchstring.controller.channels.server import ChannelServer
from latchstring.controller.data_directory import BoundAddresses
from latchstring.controller.enrolment.directory import EndpointDirectory
from latchstring.controller.log.reading import LogReading
from latchstring.controller.relay.server import Relay
from latchstring.controller.relay_bridge import RelayBridge
from latchstring.controller.relay_websockets import RelayWebSockets
from latchstring.controller.sessions.dependencies import SessionDependencies
from latchstring.controller.sessions.dialling import DialService, RelayAddress
from latchstring.controller.sessions.presence import Presence
from latchstring.controller.sessions.reports import EndpointReports
from latchstring.controller.sessions.service import SessionService
from latchstring.controller.sessions.sweeper import Sweeper, SweepSettings
from latchstring.protocol.api import RootResponse
from latchstring.protocol.relay_websocket import RELAY_PATH


@dataclass(frozen=True, slots=True)
class Controller:
    """What ``serve`` starts, drives and stops."""

    api: web.Application
    channels: ChannelServer
    relay_websockets: RelayWebSockets
    sessions: SessionService
    sweeper: Sweeper


def compose(foundation: Foundation, relay: Relay, public: BoundAddresses) -> Controller:
    """Return a controller on ``foundation`` that is dialled at ``public``."""
    hub = ChannelHub()
    dependencies = SessionDependencies(
        store=foundation.store,
        writer=foundation.writer,
        refusals=foundation.refusals,
        channels=hub,
        relay=RelayBridge(relay),
        bus=LocalBus(),
        clock=foundation.clock,
        random=foundation.random,
    )
    presence = Presence(foundation.clock)
    sessions = SessionService(dependencies)
    enrolment = foundation.enrolment(public)
    accounts = foundation.accounts()
    routes: list[Route[Any, Any]] = [
        *public_routes(enrolment, _root(foundation)),
        *login_routes(accounts, ssh_host_ca=foundation.keys.host_ca.public_key),
        *endpoint_routes(EndpointDirectory(foundation.store, hub)),
        *session_routes(sessions),
        *dial_routes(
            DialService(
                dependencies,
                user_ca=foundation.keys.user_ca,
                relay_address=RelayAddress(public.relay.host, public.relay.port),
            )
        ),
        *audit_routes(LogReading(foundation.store, foundation.writer)),
    ]
    relay_websockets = RelayWebSockets(relay, monotonic=foundation.clock.monotonic)
    api = make_application(described(routes, version=__version__), accounts)
    api.router.add_route("GET", RELAY_PATH, relay_websockets.handle)
    return Controller(
        api=api,
        relay_websockets=relay_websockets,
        channels=ChannelServer(
            hub,
            reports=EndpointReports(dependencies, presence),
            renewals=enrolment,
            clock=foundation.clock,
        ),
        sessions=sessions,
        sweeper=Sweeper(dependencies, presence, SweepSettings()),
    )


def _root(foundation: Foundation) -> RootResponse:
    return RootResponse(
        controller_name=foundation.settings.name, root_certificate=foundation.keys.x509.root_pem().decode("ascii")
    )
