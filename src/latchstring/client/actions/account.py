"""``latch login``, ``logout`` and ``status``."""

import getpass
import sys

from latchstring.certs.ssh_public_key import fingerprint_of
from latchstring.client.actions.context import CommandContext
from latchstring.client.actions.output import answer, answer_json, local_time, relative_time, tell
from latchstring.client.address import Address, parse_url
from latchstring.client.errors import ClientError, TrustError
from latchstring.client.home import Config
from latchstring.client.login import log_in, log_out, parse_email
from latchstring.client.trust import check_fingerprint_form

_MAX_PASSWORD = 1024


def login(context: CommandContext, url: str, user: str, fingerprint: str | None) -> None:
    """Log in."""
    address = parse_url(url)
    email = parse_email(user)
    given = None if fingerprint is None else check_fingerprint_form(fingerprint)
    config = log_in(
        context.home,
        address,
        email,
        fingerprint=given,
        confirm=lambda actual: _confirm(address, actual),
        read_password=lambda: _read_password(email),
    )
    answer(
        f"logged in to {config.controller_name} as {config.user} ({config.role}) "
        f"until {local_time(config.token_expires_at)}"
    )


def logout(context: CommandContext) -> None:
    """Log out."""
    config = log_out(context.home)
    answer(f"logged out of {config.controller_name}")


def status(context: CommandContext, *, as_json: bool) -> None:
    """Say who is logged in, and where."""
    config = context.home.read_config()
    if as_json:
        document = config.model_dump(mode="json", exclude={"token", "version"})
        answer_json({"home": str(context.home.path), **document, "ssh_key": _key(context)})
        return
    for label, value in _status_lines(context, config):
        answer(f"{label + ':':<12} {value}")


def _status_lines(context: CommandContext, config: Config) -> list[tuple[str, str]]:
    expires = f"until {local_time(config.token_expires_at)} ({relative_time(config.token_expires_at, context.now())})"
    return [
        ("controller", f"{config.controller_name} at {config.address.url}"),
        ("root", config.root_fingerprint),
        ("account", f"{config.user} ({config.role}), {config.account_id}"),
        ("login", "logged out" if config.token is None else expires),
        ("key", f"{_key(context)}, which customers see with your requests"),
        ("home", str(context.home.path)),
    ]


def _key(context: CommandContext) -> str:
    """Return the fingerprint of the engineer's SSH key."""
    return fingerprint_of(context.home.ssh_public_key())


def _confirm(address: Address, actual: str) -> None:
    """Ask a person whether this is the root; only the whole word yes is a yes."""
    if not sys.stdin.isatty():
        raise TrustError(
            f"the root of {address.authority} is not known here. It says it is {actual}: compare that with "
            "`latch-controller fingerprint` on the controller, and pass the right one with --fingerprint"
        )
    tell(f"The root of {address.authority} is not known here. Its fingerprint is\n\n    {actual}\n")
    tell("Compare it with what the controller's operator gave you (`latch-controller fingerprint`).")
    sys.stderr.write("Is it the same? (yes/no) ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() != "yes":
        raise TrustError("the root was not confirmed; nothing was changed")


def _read_password(email: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"Password of {email}: ", stream=sys.stderr)
    password = sys.stdin.readline(_MAX_PASSWORD + 2).rstrip("\r\n")
    if not password:
        raise ClientError("there is no password on standard input: pipe it in, or run this on a terminal")
    return password
