"""``init``, ``serve`` and ``fingerprint``."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import click

from latchstring.controller.addresses import Address, parse_address, parse_name
from latchstring.controller.cli.options import data_option
from latchstring.controller.cli.output import hint


class AddressType(click.ParamType[Address]):
    """``HOST:PORT`` on a command line."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        """Return the address; a usage error if it is none."""
        if isinstance(value, Address):
            return value
        try:
            return parse_address(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class NameType(click.ParamType[str]):
    """A controller's name on a command line."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; a usage error if it cannot be one."""
        try:
            return parse_name(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


ADDRESS = AddressType()


@click.command(
    epilog="""\b
Example:
  latch-controller init --data /var/lib/latch --name support.example.test \\
      --listen 0.0.0.0:8443 --tunnel-listen 0.0.0.0:8444 --relay-listen 0.0.0.0:7022
"""
)
@data_option
@click.option(
    "--name", required=True, type=NameType(), help="The DNS name under which people reach it. It can never change."
)
@click.option("--listen", default="0.0.0.0:8443", show_default=True, type=ADDRESS, help="HTTPS for people.")
@click.option("--tunnel-listen", default="0.0.0.0:8444", show_default=True, type=ADDRESS, help="For endpoints.")
@click.option("--relay-listen", default="0.0.0.0:7022", show_default=True, type=ADDRESS, help="For SSH's ciphertext.")
@click.option("--public-address", type=ADDRESS, help="What people dial. Default: the listen host if specific, or NAME.")
@click.option("--public-tunnel-address", type=ADDRESS, help="What endpoints dial. Default: likewise.")
@click.option("--public-relay-address", type=ADDRESS, help="Where both sides of a session meet. Default: likewise.")
def init(path: Path, **options: Any) -> None:
    """Make a controller: its keys, its database and its settings, in a new or empty directory."""
    from pydantic import ValidationError  # noqa: PLC0415 - keeps --help quick

    from latchstring.controller.administration import initialise  # noqa: PLC0415 - keeps --help quick
    from latchstring.controller.settings import ControllerSettings, explain  # noqa: PLC0415 - keeps --help quick

    try:
        settings = ControllerSettings.model_validate(options)
    except ValidationError as error:
        raise click.UsageError(explain(error)) from error
    fingerprint = asyncio.run(initialise(path, settings))
    hint(f"made {settings.name} in {path}, with root {fingerprint}\nnext: latch-controller serve --data {path}")


@click.command(
    epilog="""\b
Example:
  latch-controller serve --data /var/lib/latch
"""
)
@data_option
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A public certificate chain for the listener for people (PEM). It is read again when it changes.",
)
@click.option(
    "--tls-key", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Its key (PEM, mode 0600)."
)
def serve(path: Path, tls_cert: Path | None, tls_key: Path | None) -> None:
    """Run the controller until SIGTERM or SIGINT. Prints one line when it is ready; logs to stderr."""
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together: a certificate is of no use without its key")
    import uvloop  # noqa: PLC0415 - keeps --help quick

    from latchstring.certs.tls_contexts import TlsCredentials  # noqa: PLC0415 - keeps --help quick
    from latchstring.controller.logging_setup import configure_logging  # noqa: PLC0415 - keeps --help quick
    from latchstring.controller.serve import serve as run_controller  # noqa: PLC0415 - keeps --help quick

    public = TlsCredentials(tls_cert, tls_key) if tls_cert is not None and tls_key is not None else None

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await run_controller(path, public_credentials=public, announce=click.echo, stop=stop)

    configure_logging()
    uvloop.run(run())


@click.command()
@data_option
def fingerprint(path: Path) -> None:
    """Print the fingerprint of the controller's root, for `latch login --fingerprint`."""
    from latchstring.controller.root_fingerprint import root_fingerprint  # noqa: PLC0415 - keeps --help quick

    click.echo(root_fingerprint(path))
