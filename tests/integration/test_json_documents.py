"""What ``--json`` prints is what docs/json.md says, key by key, in every listing of the three programs."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from latchstring.client.cli.commands import latch
from latchstring.controller.cli.main import cli as latch_controller
from latchstring.endpoint.cli.main import cli as latch_endpoint
from parties import Site, wait_until

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "json.md").read_text()
SCALARS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "time": lambda value: re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value) is not None,
}
ALSO = {
    "latch-endpoint access on": "latch-endpoint access",
    "latch-endpoint access ask": "latch-endpoint access",
    "latch-endpoint access off": "latch-endpoint access",
    "latch-endpoint refuse": "latch-endpoint approve",
}


def sections() -> dict[str, str]:
    """Return the page's sections of the third level: heading to text."""
    parts = re.split(r"^### (.+)$", PAGE, flags=re.MULTILINE)[1:]
    found = zip(parts[::2], parts[1::2], strict=True)
    return {heading: re.split(r"^## ", text, flags=re.MULTILINE)[0] for heading, text in found}


def keys_of(heading: str) -> dict[str, str]:
    """Return the keys that a section describes, with their types; through its link if it has no table."""
    text = sections()[heading]
    rows = re.findall(r"^\| `([a-z_]+)` \| (.+?) \| .+ \|$", text, flags=re.MULTILINE)
    return dict(rows) if rows else keys_of(re.findall(r"\[([a-z ]+)\]\(#", text)[0])


def check(value: Any, kind: str, place: str) -> None:
    """Check that a value has the documented type, and all keys that are documented, and no other."""
    if kind.endswith(" or null"):
        if value is not None:
            check(value, kind.removesuffix(" or null"), place)
    elif kind.startswith("list of "):
        assert isinstance(value, list), place
        for item in value:
            check(item, kind.removeprefix("list of ").replace("strings", "string"), f"{place}[]")
    elif linked := re.fullmatch(r"\[([a-z ]+)\]\(#([a-z-]+)\)", kind):
        assert linked[2] == linked[1].replace(" ", "-"), kind
        check_document(value, linked[1], place)
    else:
        assert SCALARS[kind](value), f"{place}: {value!r} is not {kind}"


def check_document(document: Any, heading: str, place: str = "") -> None:
    """Check a document against the section ``heading``."""
    keys = keys_of(heading)
    assert list(document) == list(keys), f"{heading}{place}"
    for key, kind in keys.items():
        check(document[key], kind, f"{place}.{key}")


def commands_with_json(group: click.Group, name: str) -> set[str]:
    """Return the commands of a program that take ``--json``."""
    found = set()
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            found |= commands_with_json(command, f"{name} {word}")
        elif any("--json" in parameter.opts for parameter in command.params):
            found.add(f"{name} {word}")
    return found


def test_every_command_is_documented() -> None:
    """Each command that takes ``--json`` has a section, and each section a command or a reader."""
    commands = set[str]()
    for group, name in (
        (latch, "latch"),
        (latch_endpoint, "latch-endpoint"),
        (latch_controller, "latch-controller"),
    ):
        commands |= commands_with_json(group, name)
    documented = {heading for heading in sections() if heading.startswith("latch")}
    assert commands - {"latch-endpoint refuse"} == documented - {"latch-endpoint journal --verify"}
    linked = set(re.findall(r"\[([a-z ]+)\]\(#", PAGE))
    assert linked == set(sections()) - documented


def test_documents_of_a_session(site: Site) -> None:
    """Through the life of a session every command's document has the documented keys and types."""

    def latch_says(*words: str, home: str = "engineer") -> Any:
        document = site.latch(*words, "--json", home=home).json()
        heading = "latch " + " ".join(words if words[0] != "audit" else words[:2]).split(" ses-")[0]
        check_document(document, heading if heading in sections() else f"latch {words[0]}")
        return document

    def customer_says(*words: str, heading: str) -> Any:
        document = site.customer(*words, "--json").json()
        check_document(document, ALSO.get(heading, heading))
        return document

    customer_says("status", heading="latch-endpoint status")
    customer_says("access", "ask", heading="latch-endpoint access ask")
    customer_says("policy", "explain", heading="latch-endpoint policy explain")
    customer_says("policy", "explain", "--engineer", "ann@example.test", heading="latch-endpoint policy explain")
    first = latch_says(
        "open", "acme-pbx1", "--purpose", "support_request", "--ticket", "SUP-1", "--note", "as agreed", "--no-wait"
    )["id"]
    second = latch_says("open", "acme-pbx1", "--purpose", "maintenance", "--no-wait")["id"]
    wait_until(lambda: site.customer("requests").out.count("who") == 2, "both requests to arrive")
    assert len(customer_says("requests", heading="latch-endpoint requests")["requests"]) == 2
    customer_says("refuse", second, "--reason", "not now", heading="latch-endpoint refuse")
    customer_says("approve", first, heading="latch-endpoint approve")
    site.wait_for_state(first, "granted")
    with site.ssh_running("echo in; exec sleep 1000") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        assert customer_says("sessions", heading="latch-endpoint sessions")["sessions"][0]["connections"] == 1
        customer_says("end", first, heading="latch-endpoint end")
    third = site.open_session()
    latch_says("close", third)
    site.wait_for_state(third, "closed")
    customer_says("access", "on", "--for", "1h", heading="latch-endpoint access on")
    customer_says("access", "off", heading="latch-endpoint access off")
    journal = customer_says("journal", heading="latch-endpoint journal")
    assert any(entry["opening"] for entry in journal["entries"])
    customer_says("journal", "--verify", heading="latch-endpoint journal --verify")
    latch_says("endpoints")
    assert len(latch_says("sessions")["sessions"]) == 3
    latch_says("status")
    site.login("odd@example.test", home="auditor")
    assert latch_says("audit", "list", home="auditor")["events"]
    assert latch_says("audit", "show", first, home="auditor")["differences"] == []
    assert all(log["verified"] for log in latch_says("audit", "verify", home="auditor")["logs"])
    for words in (("customer", "list"), ("endpoint", "list"), ("user", "list")):
        check_document(site.vendor(*words, "--json").json(), f"latch-controller {' '.join(words)}")


@pytest.mark.parametrize(
    ("document", "heading"),
    [
        ({"customers": [{"id": "cus-a", "name": "Acme", "more": 1}]}, "latch-controller customer list"),
        ({"customers": [{"id": "cus-a"}]}, "latch-controller customer list"),
        ({"customers": [{"id": "cus-a", "name": None}]}, "latch-controller customer list"),
        ({"customers": {}}, "latch-controller customer list"),
    ],
)
def test_the_check_itself(document: dict[str, Any], heading: str) -> None:
    """A document with a key too many or too few, or another type, does not pass the check."""
    with pytest.raises(AssertionError):
        check_document(document, heading)
