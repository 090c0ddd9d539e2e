"""Fixtures for tests with the real programs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from parties import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A fresh site: controller and endpoint run, the engineer is signed in, access is ``ask``."""
    site = Site(tmp_path)
    try:
        site.initialise()
        site.start_controller()
        site.enroll()
        site.start_endpoint()
        site.login()
        yield site
    finally:
        site.close()


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for a module's tests, with an open session."""
    site = Site(tmp_path_factory.mktemp("site"))
    try:
        site.initialise()
        site.start_controller()
        site.enroll()
        site.start_endpoint()
        site.login()
        site.open_session("--for", "1h")
        yield site
    finally:
        site.close()
