"""Fixtures for tests with the real programs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from parties import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A fresh site: controller and endpoint run, the engineer is signed in, access is ``ask``."""
    with Site.running(tmp_path) as site:
        yield site


@pytest.fixture(scope="module")
def closed_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for a module's tests, without a session."""
    with Site.running(tmp_path_factory.mktemp("closed")) as site:
        yield site


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for a module's tests, with an open session."""
    with Site.running(tmp_path_factory.mktemp("site")) as site:
        site.open_session("--for", "1h")
        yield site
