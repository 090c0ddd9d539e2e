# ruff: noqa: PLC0415 - what a command does is imported when it runs, so that `--help` and completion are quick
"""The commands of ``latch`` and their options. What they do stands in ``client.actions``."""

from typing import Any

import click

from latchstring import __version__

_CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_customer = click.option("--customer", metavar="NAME", help="Only this customer's log.")


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


@click.group(
    context_settings=_CONTEXT,
    no_args_is_help=False,
    epilog=_examples(
        "latch login https://support.example.test:8443 --user anna@example.test",
        "latch open acme-pbx1 --purpose support_request --ticket SUP-1042 --for 1h",
        "latch ssh-config --install",
        "ssh acme-pbx1.latch",
    )
    + "\n\nExit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 unreachable."
    " Everything is kept in LATCH_HOME (default ~/.config/latch).",
)
@click.version_option(__version__, prog_name="latch")
def latch() -> None:
    """Support sessions on customers' servers, by their leave, with a log that proves what happened."""


@latch.command(
    epilog=_examples(
        "latch login https://support.example.test:8443 --user anna@example.test",
        "pass latch | latch login https://10.0.0.5:8443 --user anna@example.test --fingerprint SHA256:8Jx…",
    )
)
@click.argument("url")
@click.option("--user", required=True, metavar="EMAIL", help="The account's e-mail address.")
@click.option("--fingerprint", metavar="SHA256:…", help="The root's, as `latch-controller fingerprint` prints it.")
def login(*, url: str, user: str, fingerprint: str | None) -> None:
    """Log in to a controller.

    URL is its listener for people. The password is read from standard input, or asked for on a terminal. Without
    --fingerprint, a root that is not known yet is shown, and you are asked whether it is the right one.
    """
    from latchstring.client.actions import account
    from latchstring.client.actions.context import system_context

    account.login(system_context(), url, user, fingerprint)


@latch.command()
def logout() -> None:
    """Give the login back."""
    from latchstring.client.actions import account
    from latchstring.client.actions.context import system_context

    account.logout(system_context())


@latch.command()
@_json
def status(*, as_json: bool) -> None:
    """Say who is logged in, where, and until when."""
    from latchstring.client.actions import account
    from latchstring.client.actions.context import system_context

    account.status(system_context(), as_json=as_json)


@latch.command()
@_json
def endpoints(*, as_json: bool) -> None:
    """List the endpoints.

    Whose they are, whether they are online, what their customer's switch says, and how their clocks go.
    """
    from latchstring.client.actions import sessions as actions
    from latchstring.client.actions.context import system_context

    actions.endpoints(system_context(), as_json=as_json)


@latch.command()
@click.option("--all", "everybody", is_flag=True, help="Everybody's (auditors and admins).")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many at most.")
@_json
def sessions(*, everybody: bool, limit: int, as_json: bool) -> None:
    """List sessions, newest first."""
    from latchstring.client.actions import sessions as actions
    from latchstring.client.actions.context import system_context

    actions.sessions(system_context(), everybody=everybody, limit=limit, as_json=as_json)


@latch.command(
    "open",
    epilog=_examples(
        "latch open acme-pbx1 --purpose support_request --ticket SUP-1042",
        "latch open acme-pbx1 --purpose maintenance --for 2h --allow shell,exec,forward:webadmin",
        "latch open acme-pbx1 --purpose maintenance --no-wait --json",
    ),
)
@click.argument("endpoint")
@click.option(
    "--purpose",
    required=True,
    metavar="PURPOSE",
    help="support_request (needs --ticket), maintenance, terms_of_use or legal_requirement.",
)
@click.option("--ticket", metavar="REFERENCE", help="The ticket in which the customer asked, such as SUP-1042.")
@click.option("--note", metavar="TEXT", help="At most 200 characters, without content such as phone numbers.")
@click.option("--for", "duration", default="1h", show_default=True, metavar="TIME", help="Such as 90s, 30m or 2h.")
@click.option(
    "--allow",
    "capabilities",
    default="shell,exec,sftp_read,sftp_write",
    show_default=True,
    metavar="LIST",
    help="What the session may do; also forward:NAME.",
)
@click.option("--no-wait", is_flag=True, help="Do not wait for the customer's decision.")
@_json
def open_session(
    *,
    endpoint: str,
    purpose: str,
    ticket: str | None,
    note: str | None,
    duration: str,
    capabilities: str,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Ask a customer for a session.

    Waits for the decision of ENDPOINT's customer; Ctrl-C takes the request back.
    """
    from latchstring.client.actions import sessions as actions
    from latchstring.client.actions.context import system_context
    from latchstring.client.opening import Wish

    wish = Wish(endpoint, purpose, ticket, note, duration, capabilities)
    actions.open_session(system_context(), wish, wait=not no_wait, as_json=as_json)


@latch.command("close", epilog=_examples("latch close ses-k3v7q2m4n5p6r7s2", "latch close k3v7"))
@click.argument("session", metavar="ID")
@_json
def close_session(*, session: str, as_json: bool) -> None:
    """Close a session, or take a request back.

    The beginning of its id is enough.
    """
    from latchstring.client.actions import sessions as actions
    from latchstring.client.actions.context import system_context

    actions.close_session(system_context(), session, as_json=as_json)


@latch.command(
    "ssh-config",
    epilog=_examples("latch ssh-config --install", "ssh acme-pbx1.latch", "scp acme-pbx1.latch:/etc/hosts ."),
)
@click.option("--install", is_flag=True, help="Write the block to LATCH_HOME and include it in ~/.ssh/config.")
@click.option("--uninstall", is_flag=True, help="Undo --install.")
def ssh_config(*, install: bool, uninstall: bool) -> None:
    """Set ssh up for hosts *.latch.

    Prints the block for ssh's configuration with which ssh, scp, sftp, rsync and Ansible reach NAME.latch.
    """
    from latchstring.client.actions import ssh
    from latchstring.client.actions.context import system_context

    if install and uninstall:
        raise click.UsageError("--install and --uninstall exclude each other")
    if install:
        ssh.install_block(system_context())
    elif uninstall:
        ssh.uninstall_block(system_context())
    else:
        ssh.print_block(system_context())


@latch.command()
@click.argument("host")
def connect(host: str) -> None:
    """Connect ssh to HOST (its ProxyCommand).

    `latch ssh-config` sets it up; it is not for people. It hands the connection over as an open socket, so ssh needs
    ProxyUseFdpass. LATCH_RELAY says which way to take to the relay: auto (the default), direct or websocket.
    """
    import os
    import time

    from latchstring.client.connect import STANDARD_OUTPUT, World
    from latchstring.client.connect import connect as connect_host

    world = World(os.environ, time.monotonic, lambda line: click.echo(f"latch: {line}", err=True))
    connect_host(host, output=STANDARD_OUTPUT, world=world)


@latch.group(no_args_is_help=False)
def audit() -> None:
    """Read and verify the logs (auditors, admins)."""


@audit.command("list", epilog=_examples("latch audit list --limit 200", 'latch audit list --customer "Acme Dental"'))
@_customer
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many at most.")
@_json
def list_events(*, customer: str | None, limit: int, as_json: bool) -> None:
    """Print the newest events of all logs, newest last."""
    from latchstring.client.actions import audit as actions
    from latchstring.client.actions.context import system_context

    actions.list_events(system_context(), customer=customer, limit=limit, as_json=as_json)


@audit.command("show", epilog=_examples("latch audit show ses-k3v7q2m4n5p6r7s2"))
@click.argument("session")
@_json
def show_session(*, session: str, as_json: bool) -> None:
    """Print all that the log says about SESSION, in its order."""
    from latchstring.client.actions import audit as actions
    from latchstring.client.actions.context import system_context

    actions.show_session(system_context(), session, as_json=as_json)


@audit.command(epilog=_examples("latch audit verify", 'latch audit verify --customer "Acme Dental" --json'))
@_customer
@_json
def verify(*, customer: str | None, as_json: bool) -> None:
    """Verify the logs from their first entry to their newest checkpoint.

    Every entry's form, order, place and signature is checked, and that the history is the one that was seen before.
    What was verified is remembered in LATCH_HOME.
    """
    from latchstring.client.actions import audit as actions
    from latchstring.client.actions.context import system_context

    actions.verify(system_context(), customer=customer, as_json=as_json)
