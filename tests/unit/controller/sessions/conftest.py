"""The controller's core for the tests of sessions."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller_parts import Core, open_core


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    """Return a controller's core on a fresh database."""
    async with open_core(tmp_path / "controller.db") as core:
        yield core
