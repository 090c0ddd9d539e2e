"""The vendor's people: ``user``."""

import asyncio
import secrets
from pathlib import Path
from typing import Any

import click

from latchstring.controller.cli.forms import check_form
from latchstring.controller.cli.options import data_option, json_option, role_option
from latchstring.controller.cli.output import print_listing
from latchstring.controller.cli.passwords import read_password, show_password
from latchstring.controller.cli.people_changes import change_password, change_role, disable_user, enable_user


@click.group()
def user() -> None:
    """Accounts of the vendor's people."""


@user.command(
    "add",
    epilog="""\b
Examples:
  latch-controller user add ann@example.test --role engineer --data /var/lib/latch
  pass show latch/bob | latch-controller user add bob@example.test --role auditor --data /var/lib/latch
""",
)
@click.argument("email")
@role_option
@click.option("--name", help="The person's name, which customers see. Default: EMAIL up to the @.")
@data_option
def add_user(path: Path, email: str, role: str, name: str | None) -> None:
    """Add an account. The password is the first line of stdin; without one it is made, and printed this once."""
    from latchstring.controller.accounts.passwords import make_password  # noqa: PLC0415 - keeps --help quick
    from latchstring.controller.administration import administration  # noqa: PLC0415 - keeps --help quick
    from latchstring.controller.data_directory import open_directory  # noqa: PLC0415 - keeps --help quick
    from latchstring.protocol.events import Role  # noqa: PLC0415 - keeps --help quick
    from latchstring.protocol.grants import EmailAddress  # noqa: PLC0415 - keeps --help quick
    from latchstring.protocol.plain_text import DisplayName  # noqa: PLC0415 - keeps --help quick

    open_directory(path)
    shown = name or email.partition("@")[0]
    check_form(EmailAddress, email, "EMAIL", "an e-mail address, such as ann@example.test")
    check_form(DisplayName, shown, "--name", "a person's name: 1 to 120 characters, on one line")
    given = read_password()
    password = given or make_password(secrets.token_bytes)

    async def add() -> None:
        async with administration(path) as opened:
            await opened.foundation.accounts().create(email, shown, Role(role), password)

    asyncio.run(add())
    if given is None:
        show_password(password)


@user.command("list")
@data_option
@json_option
def list_users(path: Path, *, as_json: bool) -> None:
    """List the accounts."""
    from latchstring.controller.administration import administration  # noqa: PLC0415 - keeps --help quick
    from latchstring.protocol.times import format_time  # noqa: PLC0415 - keeps --help quick

    async def listing() -> list[dict[str, Any]]:
        async with administration(path) as opened:
            accounts = await opened.foundation.accounts().list()
        return [
            {
                "id": account.id,
                "email": account.email,
                "name": account.name,
                "role": str(account.role),
                "created_at": format_time(account.created_at),
                "disabled": account.disabled_at is not None,
            }
            for account in accounts
        ]

    print_listing("users", asyncio.run(listing()), as_json=as_json, nothing="no accounts yet")


for change in (disable_user, enable_user, change_password, change_role):
    user.add_command(change)
