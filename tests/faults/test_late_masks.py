"""Content that appears while a session runs is hidden from it, whoever runs agent and session."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.account_modes import MODES, run_in_mode


@pytest.fixture
def place() -> Iterator[Path]:
    """Make a directory in which every account may write."""
    made = Path(tempfile.mkdtemp(prefix="latchstring-late-", dir="/var/tmp"))
    (made / "spool").mkdir()
    for folder in (made, made / "spool"):
        folder.chmod(0o777)
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("mode", MODES)
def test_what_appears_is_hidden(mode: str, place: Path) -> None:
    """Directories and files that appear, and appear again, are hidden; a session that holds one before that ends."""
    run_in_mode(mode, "faults.late_mask_runner", place)
