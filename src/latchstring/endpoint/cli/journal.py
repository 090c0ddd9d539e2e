# ruff: noqa: PLC0415 - what a command does is imported when it runs, so that `--help` is quick
"""``journal``: read it, or verify it."""

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from latchstring.endpoint.cli.options import data_option, json_option

if TYPE_CHECKING:
    from latchstring.endpoint.data_directory import DataDirectory
    from latchstring.endpoint.journal.reading import JournalEntry
    from latchstring.protocol.grants import Offer


@click.command(
    epilog="""\b
Examples:
  latch-endpoint journal --last 20
  latch-endpoint journal --session ses-k3v7q2m4n5p6r7s2
  latch-endpoint journal --verify
"""
)
@click.option("--verify", is_flag=True, help="Check every signature and the tree, and say what was found.")
@click.option("--session", metavar="ID", help="Only what concerns this session; any unique beginning of its id.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N entries.")
@json_option
@data_option
def journal(*, verify: bool, session: str | None, last: int | None, as_json: bool, path: Path) -> None:
    """Show this machine's own record of what happened, with or without a running agent.

    Command lines are shown here and nowhere else: the vendor's log has only a commitment to each.
    """
    from latchstring.endpoint.cli.describe import describe
    from latchstring.endpoint.cli.output import local_time, print_document
    from latchstring.endpoint.data_directory import open_directory
    from latchstring.endpoint.journal.reading import read_journal

    directory = open_directory(path)
    if verify:
        _verify(directory, as_json=as_json)
        return
    with read_journal(directory.journal) as reader:
        offers, head = reader.offers(), reader.head()
        entries = _choose(reader.entries(), session, last)
    if as_json:
        document = [_document(entry, offers) for entry in entries]
        print_document({"entries": document, "size": head.size, "acknowledged": head.acknowledged})
        return
    for entry in entries:
        statement = entry.statement
        text = describe(statement.event, offers, entry.opening)
        click.echo(
            f"{statement.sequence:>6}  {local_time(statement.time)}  {statement.event.type:<26}  {text}".rstrip()
        )


def _verify(directory: "DataDirectory", *, as_json: bool) -> None:
    from latchstring.endpoint.cli.output import print_document
    from latchstring.endpoint.identity import load_identity
    from latchstring.endpoint.journal.reading import read_journal
    from latchstring.endpoint.journal.verify import verify_journal

    identity = load_identity(directory)
    with read_journal(directory.journal) as reader:
        verified = verify_journal(
            reader,
            origin=identity.journal_origin,
            endpoint_id=identity.endpoint_id,
            journal_key=identity.journal_key,
            note_key=identity.journal_note_signer().verifier_key,
        )
    if as_json:
        print_document({"verified": True, "size": verified.size, "root": verified.root.hex()})
    else:
        click.echo(f"the journal is whole: {verified.size} entries, each signed, root {verified.root.hex()}")


def _choose(entries: "Iterable[JournalEntry]", session: str | None, last: int | None) -> "list[JournalEntry]":
    if session is not None:
        prefix = session if session.startswith("ses-") else f"ses-{session}"
        entries = (entry for entry in entries if _session_of(entry).startswith(prefix))
    return list(deque(entries, maxlen=last))


def _session_of(entry: "JournalEntry") -> str:
    return str(getattr(entry.statement.event, "session_id", ""))


def _document(entry: "JournalEntry", offers: "dict[str, Offer]") -> dict[str, Any]:
    offer = offers.get(_session_of(entry))
    opening = None if entry.opening is None else {"salt": entry.opening.salt.hex(), "detail": entry.opening.detail}
    return {
        "sequence": entry.statement.sequence,
        "time": entry.statement.time,
        "event": entry.statement.event.model_dump(mode="json"),
        "engineer": None if offer is None else offer.engineer.model_dump(mode="json"),
        "opening": opening,
    }
