"""Content that appears while a session runs is hidden from it, whoever runs agent and session."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.account_modes import MODES, NOBODY, run_in_mode


@pytest.fixture
def mode(request: pytest.FixtureRequest) -> str:
    """Who agent and session are."""
    return str(request.param)


@pytest.fixture
def place(mode: str) -> Iterator[Path]:
    """Make a directory that is the agent's, and one in which every account may write."""
    made = Path(tempfile.mkdtemp(prefix="latchstring-late-", dir="/var/tmp"))
    for name in ("spool", "open", "alias"):
        (made / name).mkdir()
    for folder in (made, made / "spool"):
        folder.chmod(0o755)
        if mode == "agent and session as an account" and os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
    (made / "open").chmod(0o777)
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("mode", MODES, indirect=True)
def test_what_appears_is_hidden(mode: str, place: Path) -> None:
    """Directories and files that appear, and appear again, are hidden; a session that holds one before that ends."""
    run_in_mode(mode, "faults.late_mask_runner", place)
