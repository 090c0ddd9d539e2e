"""The vendor's people: ``user``."""

import asyncio
import secrets
import sys
from pathlib import Path
from typing import Any, Final

import click

from latchstring.controller.cli.forms import check_form
from latchstring.controller.cli.options import data_option, json_option
from latchstring.controller.cli.output import hint, print_listing

ROLES: Final = ("engineer", "auditor", "admin")
_MAX_PASSWORD_BYTES: Final = 4096


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
@click.option("--role", required=True, type=click.Choice(ROLES), help="What the account may do.")
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
    given = _read_password()
    password = given or make_password(secrets.token_bytes)

    async def add() -> None:
        async with administration(path) as opened:
            await opened.foundation.accounts().create(email, shown, Role(role), password)

    asyncio.run(add())
    if given is None:
        click.echo(password)
        hint("this is the password; it is shown only now")


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
            }
            for account in accounts
        ]

    print_listing("users", asyncio.run(listing()), as_json=as_json, nothing="no accounts yet")


def _read_password() -> str | None:
    """Return the first line of stdin; None if stdin is a terminal, closed or empty."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return None
    line = sys.stdin.buffer.readline(_MAX_PASSWORD_BYTES).rstrip(b"\r\n")
    try:
        return line.decode() or None
    except UnicodeDecodeError as error:
        raise click.UsageError("the password on stdin is not UTF-8 text") from error
