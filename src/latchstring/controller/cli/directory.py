"""Customers and endpoints: ``customer``, ``endpoint`` and ``invite``."""

import asyncio
from pathlib import Path
from typing import Any

import click

from latchstring.controller.cli.forms import check_form
from latchstring.controller.cli.options import data_option, json_option
from latchstring.controller.cli.output import hint, print_listing


@click.group()
def customer() -> None:
    """Customers, each with an audit log of its own."""


@customer.command("add", epilog='Example: latch-controller customer add "Acme Dental" --data /var/lib/latch')
@click.argument("name")
@data_option
def add_customer(path: Path, name: str) -> None:
    """Add the customer NAME, and open its log. Prints the customer's id."""
    from latchstring.controller.administration import administration  # noqa: PLC0415 - keeps --help quick
    from latchstring.protocol.plain_text import DisplayName  # noqa: PLC0415 - keeps --help quick

    check_form(DisplayName, name, "NAME", "a customer's name: 1 to 120 characters, on one line")

    async def add() -> str:
        async with administration(path) as opened:
            return await opened.foundation.customers().add(name)

    click.echo(asyncio.run(add()))


@customer.command("list")
@data_option
@json_option
def list_customers(path: Path, *, as_json: bool) -> None:
    """List the customers."""
    from latchstring.controller.administration import administration  # noqa: PLC0415 - keeps --help quick

    async def listing() -> list[dict[str, Any]]:
        async with administration(path) as opened:
            customers = await opened.foundation.customers().list()
        return [{"id": customer.id, "name": customer.name} for customer in customers]

    print_listing("customers", asyncio.run(listing()), as_json=as_json, nothing="no customers yet")


@click.group()
def endpoint() -> None:
    """Endpoints: customers' servers."""


@endpoint.command("list")
@data_option
@json_option
def list_endpoints(path: Path, *, as_json: bool) -> None:
    """List the endpoints that enrolled. Which of them are online, `latch endpoints` shows."""
    from latchstring.controller.administration import administration  # noqa: PLC0415 - keeps --help quick

    async def listing() -> list[dict[str, Any]]:
        async with administration(path) as opened:
            found = await opened.endpoints().list()
        return [
            {
                "id": view.id,
                "name": view.name,
                "customer": view.customer,
                "access": view.access,
                "agent_version": view.agent_version,
                "last_seen_at": view.last_seen_at,
                "clock_skew_seconds": view.clock_skew_seconds,
            }
            for view in found.endpoints
        ]

    print_listing("endpoints", asyncio.run(listing()), as_json=as_json, nothing="no endpoints yet")


@endpoint.command("revoke")
@click.argument("name")
@data_option
def revoke_endpoint(path: Path, name: str) -> None:
    """Strike the endpoint NAME off: its sessions end, its connection is cut, and it cannot come back."""
    from latchstring.controller.administration import administration  # noqa: PLC0415 - keeps --help quick

    async def revoke() -> None:
        async with administration(path) as opened:
            await opened.foundation.enrolment(opened.public_addresses()).revoke(name)

    asyncio.run(revoke())
    hint(f"revoked {name}; a running controller cuts its connection within two seconds")


@click.command(
    epilog="""\b
Example:
  latch-controller invite acme-pbx1 --customer "Acme Dental" --data /var/lib/latch
Then, on the customer's server:
  latch-endpoint enroll CODE
"""
)
@click.argument("endpoint_name", metavar="ENDPOINT")
@click.option("--customer", "customer_name", required=True, metavar="NAME", help="Whose server it is.")
@click.option("--replace", is_flag=True, help="Void an earlier code for this name that nobody has used.")
@data_option
def invite(path: Path, endpoint_name: str, customer_name: str, *, replace: bool) -> None:
    """Print a code with which one server can enrol once, within 24 hours, as ENDPOINT."""
    from latchstring.controller.administration import administration  # noqa: PLC0415 - keeps --help quick
    from latchstring.protocol.ids import EndpointName  # noqa: PLC0415 - keeps --help quick

    check_form(EndpointName, endpoint_name, "ENDPOINT", "an endpoint's name: 1 to 63 of a-z, 0-9 and '-'")

    async def make_code() -> str:
        async with administration(path) as opened:
            public = opened.public_addresses()
            invited = await opened.foundation.enrolment(public).invite(
                endpoint_name, customer_name, address=str(public.people), replace=replace
            )
            return invited.code.encode()

    click.echo(asyncio.run(make_code()))
    hint("on the customer's server, within 24 hours: latch-endpoint enroll CODE")
