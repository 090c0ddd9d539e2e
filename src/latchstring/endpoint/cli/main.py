"""The group of all commands."""

import click

from latchstring import __version__
from latchstring.endpoint.cli.access import access
from latchstring.endpoint.cli.decide import approve, refuse, requests
from latchstring.endpoint.cli.journal import journal
from latchstring.endpoint.cli.policy import policy
from latchstring.endpoint.cli.sessions import end, sessions, status
from latchstring.endpoint.cli.setup import enroll, run


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Start like this, with the code that the vendor gave you:
  latch-endpoint enroll CODE --data /var/lib/latch-endpoint
  latch-endpoint run --data /var/lib/latch-endpoint
  latch-endpoint requests --data /var/lib/latch-endpoint
  latch-endpoint approve ID --data /var/lib/latch-endpoint
  latch-endpoint access off --data /var/lib/latch-endpoint

Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 unreachable.
""",
)
@click.version_option(__version__, prog_name="latch-endpoint", message="%(prog)s %(version)s")
def cli() -> None:
    """Latchstring's endpoint: remote support on this machine, as far as you let it.

    You are the last authority: whatever the vendor's controller says, nobody gets in unless this machine grants it, and
    `access off` ends everything at once.
    """


for command in (enroll, run, access, status, requests, approve, refuse, sessions, end, journal, policy):
    cli.add_command(command)
