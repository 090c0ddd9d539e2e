# ruff: noqa: PLC0415 - what a command does is imported when it runs, so that `--help` is quick
"""``policy``: check, explain, init and apply."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from latchstring.endpoint.cli.options import CapabilityList, Duration, data_option, json_option

if TYPE_CHECKING:
    from datetime import datetime

    from latchstring.endpoint.policy.decision import Allow, Ask, Refuse
    from latchstring.endpoint.policy.schema import Policy

_FILE = click.Path(path_type=Path, dir_okay=False)
_PRESETS = ("asterisk", "freepbx", "freeswitch")
_PURPOSES = ("support_request", "maintenance", "terms_of_use", "legal_requirement")


@click.group()
def policy() -> None:
    """Write, check and change what sessions may do on this machine."""


@policy.command("check")
@click.argument("file", type=_FILE)
def check_policy(file: Path) -> None:
    """Check the policy in FILE, and say what looks like a mistake."""
    from latchstring.endpoint.cli.output import warn
    from latchstring.endpoint.errors import SettingsFileError
    from latchstring.endpoint.policy.reading import read_policy

    if not file.exists():
        raise SettingsFileError(f"there is no file {file}")
    checked = read_policy(file)
    for doubt in _doubts(checked):
        warn(doubt)
    click.echo(f"{file} is a policy")


@policy.command(
    "explain",
    epilog="""\b
Examples:
  latch-endpoint policy explain
  latch-endpoint policy explain --file new.toml --engineer ann@example.test --allow shell,sftp_write --for 2h
""",
)
@click.option("--file", type=_FILE, help="Another policy than the one in force.")
@click.option("--engineer", metavar="EMAIL", help="What would a request of this engineer get?")
@click.option("--purpose", type=click.Choice(_PURPOSES), default="maintenance", show_default=True, help="For what?")
@click.option("--allow", type=CapabilityList(), metavar="LIST", default="exec,sftp_read,sftp_write,shell", help="What?")
@click.option(
    "--for", "seconds", type=Duration(), metavar="DURATION", default="1h", show_default=True, help="For how long?"
)
@click.option("--at", "moment", metavar="TIME", help="When, like 2026-12-24T08:00; now if left out.")
@click.option(
    "--access", type=click.Choice(["on", "ask", "off"]), help="With the switch there; by default where it is."
)
@json_option
@data_option
def explain_policy(
    *,
    file: Path | None,
    engineer: str | None,
    purpose: str,
    allow: tuple[str, ...],
    seconds: int,
    moment: str | None,
    access: str | None,
    as_json: bool,
    path: Path,
) -> None:
    """Say in words what the policy allows, and with --engineer, what a request would get."""
    from latchstring.endpoint.cli.output import print_document, print_rows
    from latchstring.endpoint.clock import SystemClock
    from latchstring.endpoint.data_directory import open_directory
    from latchstring.endpoint.offline_access import read_access
    from latchstring.endpoint.policy.reading import read_policy
    from latchstring.endpoint.policy.words import policy_in_words
    from latchstring.protocol.access import AccessMode

    directory = open_directory(path)
    chosen = read_policy(file or directory.policy)
    words = policy_in_words(chosen)
    answer = None
    if engineer is not None:
        mode = AccessMode(access) if access else read_access(directory, SystemClock()).mode
        request = {"purpose": purpose, "capabilities": allow, "duration_seconds": seconds}
        answer = _decide(chosen, mode, {**request, "email": engineer}, _moment(moment, chosen))
    if as_json:
        print_document({"policy": words, "answer": answer})
        return
    print_rows(list(words.items()))
    if answer is not None:
        click.echo(f"\n{answer}")


@policy.command("init")
@click.option("--preset", type=click.Choice(_PRESETS), required=True, help="For which product.")
@data_option
def init_policy(*, preset: str, path: Path) -> None:
    """Write a policy for a product, where there is none yet. Read it, change it, and apply it."""
    from latchstring.certs.keyfiles import KeyFileExistsError, create_public
    from latchstring.endpoint.cli.output import hint
    from latchstring.endpoint.data_directory import open_directory
    from latchstring.endpoint.errors import EndpointError
    from latchstring.endpoint.policy.presets import preset_text

    target = open_directory(path).policy
    try:
        create_public(target, preset_text(preset).encode())
    except KeyFileExistsError as error:
        raise EndpointError(
            f"there is a policy at {target} already; nothing was changed. To change it, write another file and say "
            f"`latch-endpoint policy apply FILE --data {path}`"
        ) from error
    except OSError as error:
        raise EndpointError(f"{target} cannot be written: {error.strerror}") from error
    click.echo(f"wrote {target}")
    hint("a running agent takes it up with SIGHUP, or with `latch-endpoint policy apply`")


@policy.command("apply")
@click.argument("file", type=_FILE)
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_option
def apply_policy(*, file: Path, yes: bool, path: Path) -> None:
    """Make the policy in FILE the one in force, once you have seen what is different.

    Sessions and requests that it does not allow end at once. Without a running agent it holds from the next start.
    """
    from latchstring.certs.keyfiles import replace_public
    from latchstring.endpoint.data_directory import open_directory
    from latchstring.endpoint.errors import EndpointError, SettingsFileError
    from latchstring.endpoint.policy.reading import read_policy
    from latchstring.endpoint.policy.words import differences

    directory = open_directory(path)
    if not file.exists():
        raise SettingsFileError(f"there is no file {file}")
    new, old = read_policy(file), _policy_before(directory.policy)
    changes = differences(old, new)
    for name, before, after in changes:
        click.echo(f"{name}\n  - {before}\n  + {after}", err=True)
    if not changes:
        click.echo("nothing is different", err=True)
    elif not yes and not click.confirm("make it so?", err=True):
        raise EndpointError("nothing was changed")
    try:
        replace_public(directory.policy, file.read_bytes())
    except OSError as error:
        raise EndpointError(f"{directory.policy} cannot be written: {error.strerror}") from error
    _reload(directory.socket)


def _policy_before(path: Path) -> "Policy":
    """Return the policy that there was; one that cannot be meant counts as none."""
    from latchstring.endpoint.errors import SettingsFileError
    from latchstring.endpoint.policy.reading import read_policy
    from latchstring.endpoint.policy.schema import Policy

    try:
        return read_policy(path)
    except SettingsFileError:
        return Policy()


def _reload(socket: Path) -> None:
    from latchstring.endpoint.cli.output import warn
    from latchstring.endpoint.local.client import AgentNotRunningError, ask
    from latchstring.endpoint.local.messages import PolicyAnswer, ReloadPolicy

    try:
        answer = ask(socket, ReloadPolicy(), PolicyAnswer)
    except AgentNotRunningError:
        warn("the agent is not running; the policy holds from its next start")
        return
    ended = f"{answer.sessions_ended} {'session' if answer.sessions_ended == 1 else 'sessions'} ended"
    refused = f"{answer.requests_refused} {'request' if answer.requests_refused == 1 else 'requests'} refused"
    click.echo(f"the policy is in force: {ended}, {refused}" if answer.changed else "the policy was in force already")


def _doubts(checked: "Policy") -> list[str]:
    """Return what is allowed, and may not be meant."""
    missing = [place for place in checked.content_paths if not Path(place).exists()]
    doubts = [f"{place} does not exist; it is hidden once it does" for place in missing]
    if not checked.content_paths:
        doubts.append("content_paths is empty: sessions can read recordings, voicemail and chats")
    if checked.run_as is None:
        doubts.append("run_as is missing: sessions run as the agent's own account, and not at all if that is root")
    return doubts


def _moment(text: str | None, chosen: "Policy") -> "datetime":
    from datetime import UTC, datetime

    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(f"{text[:40]!r} is not a time; write it like 2026-12-24T08:00") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=chosen.zone)


def _decide(chosen: "Policy", mode: "object", request: dict[str, object], now: "datetime") -> str:
    from pydantic import ValidationError

    from latchstring.endpoint.policy.decision import State, decide
    from latchstring.protocol.access import AccessMode
    from latchstring.protocol.grants import Offer

    fields = {
        "session_id": "ses-" + "a" * 16,
        "endpoint_id": "ept-" + "a" * 16,
        "endpoint_name": "this",
        "customer_id": "cus-" + "a" * 16,
        "engineer": {"account_id": "acc-" + "a" * 16, "name": "Somebody", "email": request.pop("email")},
        "ssh_public_key": "ssh-ed25519 " + "A" * 68,
        "ticket": "TICKET-1",
        **request,
    }
    try:
        offer = Offer.model_validate(fields)
    except ValidationError as error:
        raise click.UsageError(f"there can be no such request: {error.errors()[0]['msg']}") from error
    return _answer(decide(chosen, State(AccessMode(str(mode)), 0), offer, now), chosen, now)


def _answer(decision: "Allow | Ask | Refuse", chosen: "Policy", now: "datetime") -> str:
    from latchstring.endpoint.policy.decision import Allow, Refuse
    from latchstring.endpoint.policy.windows import describe_opening
    from latchstring.protocol.durations import format_duration
    from latchstring.protocol.endings import EXPLANATIONS

    if isinstance(decision, Refuse):
        opens = "" if decision.opens_at is None else f", opens {describe_opening(decision.opens_at, chosen.zone, now)}"
        return f"refused: {EXPLANATIONS[decision.reason]}{opens}"
    what = f"{', '.join(decision.capabilities)} for {format_duration(decision.duration_seconds)}"
    return f"granted without a question: {what}" if isinstance(decision, Allow) else f"you are asked; at most: {what}"
