"""Migrations: they make exactly the schema that the code expects, once, or leave everything as it was."""

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from latchstring.controller.errors import StoreDamagedError
from latchstring.controller.store.engine import create_write_engine
from latchstring.controller.store.migrate import migrate
from latchstring.controller.store.migration_scripts import migration_config
from latchstring.controller.store.revision import SCHEMA_REVISION
from latchstring.controller.store.schema import metadata
from latchstring.controller.store.store import Store


def differences(connection: Connection) -> list[object]:
    """Return how the database differs from the tables in the code."""
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


async def test_migrations_make_the_schema_of_the_code(tmp_path: Path) -> None:
    """A new database, brought up by migrations, has the tables that the code has."""
    path = tmp_path / "controller.db"
    report = await migrate(path)
    assert (report.before, report.after) == (None, SCHEMA_REVISION)
    engine = create_write_engine(path)
    with engine.begin() as connection:
        assert differences(connection) == []
    engine.dispose()


async def test_migrating_again_does_nothing(tmp_path: Path) -> None:
    """A database that is up to date is left alone, and stays private to its owner."""
    path = tmp_path / "controller.db"
    await migrate(path)
    report = await migrate(path)
    assert (report.before, report.applied) == (SCHEMA_REVISION, ())
    assert path.stat().st_mode & 0o777 == 0o600


def test_revision_of_the_code_is_the_newest_migration() -> None:
    """The revision that the code checks at start is the one that the migrations lead to."""
    assert ScriptDirectory.from_config(migration_config()).get_heads() == [SCHEMA_REVISION]


async def test_newer_database_is_not_touched(tmp_path: Path) -> None:
    """A database of a newer version is refused."""
    path = tmp_path / "controller.db"
    await migrate(path)
    engine = create_write_engine(path)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreDamagedError, match="newer"):
        await migrate(path)


async def test_accounts_of_the_first_schema_stay_enabled(tmp_path: Path) -> None:
    """A database of the first version keeps its accounts, and none of them is disabled."""
    path = tmp_path / "controller.db"
    engine = create_write_engine(path)
    with engine.begin() as connection:
        config = migration_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        row = "'acc-aaaaaaaaaaaaaaaa', 'ada@example.test', 'Ada', 'engineer', 'x', '2026-11-24T09:30:00.125Z'"
        connection.execute(
            text(f"INSERT INTO accounts (id, email, name, role, password_hash, created_at) VALUES ({row})")  # noqa: S608
        )
    engine.dispose()
    report = await migrate(path)
    assert (report.before, report.applied[:1]) == ("0001", ("0002",))
    store = await Store.open(path)
    try:
        async with store.read() as tx:
            (account,) = await tx.accounts.all()
    finally:
        await store.close()
    assert (account.email, account.disabled_at) == ("ada@example.test", None)
