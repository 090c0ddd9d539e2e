"""The group of all commands."""

import click

from latchstring import __version__
from latchstring.controller.cli.directory import customer, endpoint, invite
from latchstring.controller.cli.people import user
from latchstring.controller.cli.setup import fingerprint, init, serve


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Start like this:
  latch-controller init --data /var/lib/latch --name support.example.test
  latch-controller user add ann@example.test --role engineer --data /var/lib/latch
  latch-controller customer add "Acme Dental" --data /var/lib/latch
  latch-controller serve --data /var/lib/latch
  latch-controller invite acme-pbx1 --customer "Acme Dental" --data /var/lib/latch
""",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Latchstring's controller: the vendor's side of remote support that the customer controls.

    All commands but init and serve work while serve runs.
    """


for command in (init, serve, fingerprint, customer, endpoint, invite, user):
    cli.add_command(command)
