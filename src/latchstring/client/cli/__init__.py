"""The command line of ``latch``."""

from latchstring.client.cli.run import run

__all__ = ["run"]
