"""Changes to the vendor's people: ``user disable``, ``enable``, ``password`` and ``role``."""

import asyncio
import secrets
from pathlib import Path

import click

from latchstring.controller.cli.options import data_option, role_option
from latchstring.controller.cli.output import hint
from latchstring.controller.cli.passwords import read_password, show_password

_even_the_last_admin = click.option(
    "--even-the-last-admin", is_flag=True, help="Also if that leaves nobody with the role admin."
)


@click.command("disable", epilog="Example: latch-controller user disable ann@example.test --data /var/lib/latch")
@click.argument("email")
@_even_the_last_admin
@data_option
def disable_user(path: Path, email: str, *, even_the_last_admin: bool) -> None:
    """Lock the account EMAIL out: it is signed out everywhere, cannot sign in, and all that it has open ends."""
    from latchstring.controller.administration import administration  # noqa: PLC0415 - keeps --help quick

    async def disable() -> None:
        async with administration(path) as opened:
            changes = opened.foundation.account_changes()
            await changes.disable(email, even_the_last_admin=even_the_last_admin)

    asyncio.run(disable())
    hint(f"disabled {email}; a running controller ends its sessions within two seconds")


@click.command("enable")
@click.argument("email")
@data_option
def enable_user(path: Path, email: str) -> None:
    """Let the account EMAIL sign in again, with the password that it had."""
    from latchstring.controller.administration import administration  # noqa: PLC0415 - keeps --help quick

    async def enable() -> None:
        async with administration(path) as opened:
            await opened.foundation.account_changes().enable(email)

    asyncio.run(enable())


@click.command(
    "password",
    epilog="""\b
Examples:
  latch-controller user password ann@example.test --data /var/lib/latch
  pass show latch/ann | latch-controller user password ann@example.test --data /var/lib/latch
""",
)
@click.argument("email")
@data_option
def change_password(path: Path, email: str) -> None:
    """Give the account EMAIL another password, and sign it out everywhere. Its sessions go on.

    The password is the first line of stdin; without one it is made, and printed this once.
    """
    from latchstring.controller.accounts.passwords import make_password  # noqa: PLC0415 - keeps --help quick
    from latchstring.controller.administration import administration  # noqa: PLC0415 - keeps --help quick
    from latchstring.controller.data_directory import open_directory  # noqa: PLC0415 - keeps --help quick

    open_directory(path)
    given = read_password()
    password = given or make_password(secrets.token_bytes)

    async def change() -> None:
        async with administration(path) as opened:
            await opened.foundation.account_changes().set_password(email, password)

    asyncio.run(change())
    if given is None:
        show_password(password)


@click.command("role")
@click.argument("email")
@role_option
@_even_the_last_admin
@data_option
def change_role(path: Path, email: str, role: str, *, even_the_last_admin: bool) -> None:
    """Give the account EMAIL another role, which holds at once. An auditor's sessions end."""
    from latchstring.controller.administration import administration  # noqa: PLC0415 - keeps --help quick
    from latchstring.protocol.events import Role  # noqa: PLC0415 - keeps --help quick

    async def change() -> None:
        async with administration(path) as opened:
            changes = opened.foundation.account_changes()
            await changes.set_role(email, Role(role), even_the_last_admin=even_the_last_admin)

    asyncio.run(change())
