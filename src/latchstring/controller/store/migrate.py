"""Brings a database to this version's schema, in one transaction: it is at the new schema, or as it was."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from latchstring.controller.errors import StoreDamagedError
from latchstring.controller.store.engine import create_write_engine
from latchstring.controller.store.revision import SCHEMA_REVISION, read_revision

_PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """The schema before (None: the database is new) and after, and the revisions that were applied, in order."""

    before: str | None
    after: str
    applied: tuple[str, ...]


async def migrate(path: Path) -> MigrationReport:
    """Create the database, private to its owner, if it is missing; then apply the migrations that it lacks.

    Raises:
        StoreDamagedError: it is no database, not ours, or of a newer version; it was not touched.
        OSError: the file cannot be created.
    """
    return await asyncio.to_thread(_migrate, path)


def _migrate(path: Path) -> MigrationReport:
    _create_private(path)
    engine = create_write_engine(path)
    try:
        with engine.begin() as connection:
            return _upgrade(connection, path)
    except DatabaseError as error:
        raise StoreDamagedError(f"{path} cannot be brought to this version's schema: {error.orig}") from error
    finally:
        engine.dispose()


def _create_private(path: Path) -> None:
    path.touch(mode=_PRIVATE)
    path.chmod(_PRIVATE)


def _upgrade(connection: Connection, path: Path) -> MigrationReport:
    before = read_revision(connection)
    if before == SCHEMA_REVISION:
        return MigrationReport(before=before, after=before, applied=())
    # Alembic takes half a second to import, and is needed once in a database's life with a version.
    from latchstring.controller.store.migration_scripts import known_revisions, run_migrations  # noqa: PLC0415

    known = known_revisions()
    if before is not None and before not in known:
        raise StoreDamagedError(f"{path} has schema {before}, which is newer than this version of latchstring knows")
    todo = known[known.index(before) + 1 :] if before is not None else known
    run_migrations(connection)
    return MigrationReport(before=before, after=known[-1], applied=tuple(todo))
