"""The documentation is true: what README tells people to type works, and the generated pages are up to date."""

import os
import pwd
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from latchstring.controller.settings import ControllerSettings
from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.settings import Settings
from parties import ENDPOINT_NAME, PASSWORD, Site, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text()


def blocks() -> list[list[list[str]]]:
    """Return the shell blocks of README as lists of commands, each a list of words."""
    found = []
    for block in re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL):
        lines = block.replace("\\\n", " ").splitlines()
        found.append([shlex.split(line, comments=True) for line in lines if line.strip()])
    return found


def replaced(words: list[str], site: Site, values: dict[str, str]) -> list[str]:
    """Put this test's directories, ports and ids where README has examples."""
    table = {
        "/var/lib/latch-endpoint": str(site.endpoint_data),
        "/var/lib/latch": str(site.controller_data),
        "support": pwd.getpwuid(os.geteuid()).pw_name,
        "0.0.0.0:8443": f"127.0.0.1:{site.ports['people']}",
        "0.0.0.0:8444": f"127.0.0.1:{site.ports['tunnel']}",
        "0.0.0.0:7022": f"127.0.0.1:{site.ports['relay']}",
        "https://support.example.test:8443": f"https://127.0.0.1:{site.ports['people']}",
        **values,
    }
    return [table.get(word, word) for word in words if word != "&"]


def test_what_readme_says_works(tmp_path: Path) -> None:
    """README's commands, typed in its order by vendor, customer, engineer and auditor, all do what they say."""
    site = Site(tmp_path)
    (tmp_path / "home").mkdir()
    _, vendor, customer, engineer, auditor = blocks()
    values: dict[str, str] = {}
    try:
        for words in vendor:
            words = replaced(words, site, values)  # noqa: PLW2901 - the same command, with this test's values
            if words[1] == "serve":
                site.start_controller()
                continue
            done = site.run(*words, given=PASSWORD if words[1] == "user" else "")
            if words[1] == "invite":
                values["CODE"] = done.out.strip()
        enroll, run, requests, approve, off = (replaced(words, site, values) for words in customer)
        assert enroll[:3] == ["latch-endpoint", "enroll", "-"]
        site.run(*enroll, given=values["CODE"])
        assert run[:2] == ["latch-endpoint", "run"]
        site.start_endpoint()
        login, install, wish, ssh = (replaced(words, site, values) for words in engineer)
        values["fingerprint"] = site.vendor("fingerprint").out.strip()
        site.run(*login, "--fingerprint", values["fingerprint"], given=PASSWORD)
        site.run(*install)
        session_id = site.run(*wish, "--no-wait", "--json").json()["id"]
        wait_until(lambda: session_id in site.run(*requests).out, "the request to arrive")
        site.run(*(session_id if word == "ses-…" else word for word in approve))
        site.wait_for_state(session_id, "granted")
        assert ssh == ["ssh", f"{ENDPOINT_NAME}.latch"]
        assert site.run("ssh", "-F", str(tmp_path / "home" / ".ssh" / "config"), *ssh[1:], "echo in").out == "in\n"
        site.run(*off)
        site.vendor("user", "add", "odd@example.test", "--role", "auditor", given=PASSWORD)
        site.login("odd@example.test", home="auditor")
        for words in auditor:
            site.run(*words, home="auditor")
    finally:
        site.close()


def test_generated_pages_are_up_to_date() -> None:
    """The pages that are made from the code are what the code makes now."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "generate_docs.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "page", sorted(path.relative_to(ROOT) for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]), ids=str
)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link in a page leads to a file that exists."""
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", text):
        assert (ROOT / page.parent / target).exists(), target


@pytest.mark.parametrize(
    "name",
    sorted(
        set(
            re.findall(
                r"`((?:protocol|certs|controller|endpoint|client)/[a-z_/]+(?:\.py)?)`",
                (ROOT / "docs" / "architecture.md").read_text(),
            )
        )
    ),
)
def test_architecture_names_real_places(name: str) -> None:
    """Every file and folder that the architecture page names exists."""
    assert (ROOT / "src" / "latchstring" / name).exists()


@pytest.mark.parametrize("model", [Policy, Settings, ControllerSettings], ids=lambda model: str(model.__name__))
def test_every_setting_is_documented(model: type[BaseModel]) -> None:
    """Each key that a settings file may have is on the operations page, or on the policy's."""
    page = "".join((ROOT / "docs" / name).read_text() for name in ("operations.md", "policy.md"))
    for name in model.model_fields:
        assert any(form in page for form in (f"`{name}`", f"`[{name}]`", f"`[[{name}]]`")), name


@pytest.mark.parametrize(
    ("variable", "line", "completed"),
    [
        ("_LATCH_COMPLETE", "latch aud", "plain,audit"),
        ("_LATCH_COMPLETE", "latch open acme --purp", "plain,--purpose"),
        ("_LATCH_ENDPOINT_COMPLETE", "latch-endpoint access o", "plain,on\nplain,off"),
        ("_LATCH_CONTROLLER_COMPLETE", "latch-controller cust", "plain,customer"),
    ],
)
def test_completion_works_as_readme_says(tmp_path: Path, variable: str, line: str, completed: str) -> None:
    """The shells' completion that README names is there, for commands, options and values."""
    assert variable in README
    words = line.split()
    environment = Site(tmp_path).environment()
    scripted = subprocess.run(
        [words[0]], env={**environment, variable: "bash_source"}, capture_output=True, text=True, check=True
    )
    assert f"{variable}=bash_complete" in scripted.stdout
    typed = {variable: "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run([words[0]], env={**environment, **typed}, capture_output=True, text=True, check=True)
    assert done.stdout == f"{completed}\n"
