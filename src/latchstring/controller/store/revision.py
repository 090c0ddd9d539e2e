"""Which schema a database has, and which one this version needs: without the machinery of migrations."""

from typing import Final

from sqlalchemy import Connection, inspect, text

SCHEMA_REVISION: Final = "0003"
"""The newest migration; a test holds it to the scripts."""

REVISION_TABLE: Final = "alembic_version"


def read_revision(connection: Connection) -> str | None:
    """Return the schema's revision; None if the database was never migrated."""
    if not inspect(connection).has_table(REVISION_TABLE):
        return None
    row = connection.execute(text(f"SELECT version_num FROM {REVISION_TABLE}")).one_or_none()  # noqa: S608 - a constant
    return None if row is None else str(row[0])
