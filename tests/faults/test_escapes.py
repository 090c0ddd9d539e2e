"""A table of attempts to get out of a session, or at what is hidden from it: each fails, whoever runs what.

``docs/attacks.md`` takes its table from the same rows.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.account_modes import MODES, run_in_mode
from faults.doors import listening
from faults.escapes import DOORS, ESCAPES, Escape

SHARED = Path("/dev/shm/latchstring-outside")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Make what there is to be had, where every account can reach it."""
    made = Path(tempfile.mkdtemp(prefix="latchstring-escapes-", dir="/var/tmp"))
    try:
        for folder in ("data", "spool/secret", "locked", "tmp", "alias"):
            (made / folder).mkdir(parents=True)
        for name in ("data/journal.key", "spool/secret/call.wav", "spool/hidden.db", "locked/dialplan"):
            (made / name).write_text("content\n")
        SHARED.touch()
        subprocess.run(["chmod", "-R", "a+rwX", made], check=True)
        if os.geteuid() == 0:
            subprocess.run(["mount", "--bind", made / "spool", made / "alias"], check=True)
        yield made
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", made / "alias"], check=False)
        SHARED.unlink(missing_ok=True)
        shutil.rmtree(made)


@pytest.fixture(scope="module", params=MODES)
def said(request: pytest.FixtureRequest, place: Path) -> dict[str, str]:
    """Try everything once, and return what each attempt said."""
    with listening(DOORS if os.geteuid() == 0 else ()):
        answers: dict[str, str] = json.loads(run_in_mode(request.param, "faults.escape_runner", place))
    return answers


@pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape.name)
def test_it_fails(said: dict[str, str], escape: Escape) -> None:
    """The attempt does not work, and says what the table says."""
    answer = said[escape.name]
    assert "escaped" not in answer.splitlines(), escape.why
    assert re.search(escape.says, answer), f"{answer!r} instead of {escape.says!r}: {escape.why}"


def test_the_host_is_as_it_was(said: dict[str, str], place: Path) -> None:
    """After all attempts everything outside is where it was."""
    assert said
    for name in ("data/journal.key", "spool/secret/call.wav", "spool/hidden.db", "locked/dialplan"):
        assert (place / name).read_text() == "content\n"
    assert not Path("/etc/cron.d/latchstring-test").exists()
