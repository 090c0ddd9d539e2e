"""``latch ssh-config``."""

import os
import pwd
import sys
from pathlib import Path

from latchstring.client import layout
from latchstring.client.actions.context import CommandContext
from latchstring.client.actions.output import answer, tell
from latchstring.client.ssh_config import install, ssh_config_block, uninstall


def print_block(context: CommandContext) -> None:
    """Print the block."""
    context.home.read_config()
    sys.stdout.write(_block(context))


def install_block(context: CommandContext) -> None:
    """Put the block where ``ssh`` reads it."""
    context.home.read_config()
    directory = Path.home() / ".ssh"
    changed = install(context.home, _block(context), directory)
    included = "now includes" if changed else "already includes"
    answer(f"{directory}/config {included} {context.home.path / layout.SSH_CONFIG_FILE}")
    own = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    if own != Path.home():
        tell(f"ssh reads {own}/.ssh/config, whatever HOME says; HOME is {Path.home()} now")


def uninstall_block(context: CommandContext) -> None:
    """Undo :func:`install_block`."""
    directory = Path.home() / ".ssh"
    changed = uninstall(context.home, directory)
    answer(f"{directory}/config {'no longer includes' if changed else 'does not include'} {context.home.path}")


def _block(context: CommandContext) -> str:
    return ssh_config_block(context.home, program_path(), default_home=Path(layout.home_directory({})))


def program_path() -> Path:
    """Return the absolute path of ``latch``: the one that runs, else the one beside our Python."""
    started = Path(sys.argv[0])
    if started.name == "latch" and os.access(started, os.X_OK):
        return started.absolute()
    return Path(sys.executable).absolute().with_name("latch")
