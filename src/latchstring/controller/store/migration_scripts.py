"""The packaged migrations, and the machinery that runs them (Alembic)."""

import os
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

_SCRIPTS: Final = Path(__file__).parent / "migrations"


def migration_config() -> Config:
    """Return the configuration of the packaged migrations, without a database."""
    config = Config()
    config.set_main_option("script_location", os.fspath(_SCRIPTS).replace("%", "%%"))
    return config


def known_revisions() -> list[str]:
    """Return the revisions that the packaged migrations lead to, oldest first."""
    scripts = ScriptDirectory.from_config(migration_config())
    return [script.revision for script in scripts.walk_revisions()][::-1]


def run_migrations(connection: Connection) -> None:
    """Bring the connection's database to the newest revision, in its transaction."""
    config = migration_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
