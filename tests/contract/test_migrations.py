"""Migrations: down and up again without loss, and only such as the version before runs on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text

from infra.postgres import Database, PostgresSettings
from infra.postgres.collections import CollectionState
from infra.postgres.engine import make_engine
from infra.postgres.migrate import _revisions, downgrade, pending, status, upgrade
from infra.postgres.tables import metadata
from schemas.problems import MisconfiguredError
from tests.contract.test_database import add
from tests.contract.test_wall import fill
from tests.harness.next_schema import REVISION, VARIABLE, expand

Contents = dict[str, list[dict[str, Any]]]

#: Columns that a release stopped using, and that a later one then removed: revision, table and column.
CONTRACTED: set[tuple[str, str, str]] = set()
#: Keys over more columns than before, the new ones with a default: what was allowed is allowed still. The version
#: before names no columns after ON CONFLICT there, for which it would need the old key.
LOOSENED = {("0007", "webhook_deliveries_event")}


@pytest.fixture
def connection(postgres_settings: PostgresSettings) -> Iterator[Connection]:
    engine = make_engine(postgres_settings)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection
    engine.dispose()


def columns(connection: Connection) -> dict[tuple[str, str], tuple[str, bool, bool]]:
    """By table and column: its type, whether it may be null, whether it has a default of its own."""
    found = connection.execute(
        text(
            "SELECT table_name, column_name, data_type, is_nullable = 'YES',"
            " column_default IS NOT NULL OR is_identity = 'YES' FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name <> 'alembic_version'"
        )
    )
    return {(table, column): (kind, nullable, filled) for table, column, kind, nullable, filled in found}


def constraints(connection: Connection) -> set[tuple[str, str, str]]:
    """What rows must hold to: checks, keys and unique indexes, by table, name and definition."""
    found = connection.execute(
        text(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = current_schema()::regnamespace AND contype <> 'n'"
            " UNION ALL SELECT indrelid::regclass::text, relname, pg_get_indexdef(indexrelid) FROM pg_index"
            " JOIN pg_class ON pg_class.oid = indexrelid"
            " WHERE indisunique AND relnamespace = current_schema()::regnamespace"
        )
    )
    return {(table, name, definition) for table, name, definition in found}


def contents(connection: Connection) -> Contents:
    """The rows of each table."""
    found: Contents = {}
    for table in {table for table, _ in columns(connection)}:
        rows = connection.execute(text(f'SELECT * FROM "{table}"')).mappings()
        found[table] = [
            {name: bytes(value) if isinstance(value, memoryview) else value for name, value in row.items()}
            for row in rows
        ]
    return found


def fill_all(database: Database, connection: Connection) -> None:
    """At least one row in every table."""
    fill(database, "ours", "theirs")
    memory = add(database, project="ours")
    database.projects.set("ours", {"custom_instructions": "none"})
    database.projects.give_feedback("ours", memory.id, "POSITIVE", "it helped")
    database.collections.register("First", "First", "a model", CollectionState.SERVING)
    for table in metadata.tables:
        if not connection.execute(text(f'SELECT count(*) FROM "{table}"')).scalar_one():
            _fill_one(connection, table)
    assert all(contents(connection)[table] for table in metadata.tables)


def _fill_one(connection: Connection, table: str) -> None:
    """A row of a table that has no method to make one here."""
    samples = {"TEXT": "some text", "UUID": uuid4(), "JSONB": "{}", "INTEGER": 3, "BIGINT": 3, "BOOLEAN": True}
    samples["DATETIME"] = "2026-01-31T12:00:00Z"
    values = {
        column.name: samples[str(column.type)]
        for column in metadata.tables[table].columns
        if not column.nullable and column.server_default is None and column.identity is None
    }
    names = ", ".join(f'"{name}"' for name in values)
    connection.execute(
        text(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join(f":{n}" for n in values)})'), values
    )


def survives(before: Contents, after: Contents) -> None:
    """What stands in both is the same."""
    for table in before.keys() & after.keys():
        assert len(after[table]) == len(before[table]), table
        kept = set(before[table][0]) & set(after[table][0])
        assert kept, table
        was, now = (
            sorted(repr([row[name] for name in sorted(kept)]) for row in rows[table]) for rows in (before, after)
        )
        assert now == was, table


def test_each_migration_down_and_up_again_on_a_filled_database(
    postgres_settings: PostgresSettings, connection: Connection
) -> None:
    database = Database(postgres_settings)
    fill_all(database, connection)
    database.close()
    full = contents(connection)
    revisions = _revisions()
    for target in [*revisions[:-1][::-1], "base"]:
        before = contents(connection)
        [undone] = downgrade(postgres_settings, target)
        left = contents(connection)
        survives(before, left)
        assert upgrade(postgres_settings, undone) == [undone]
        survives(left, contents(connection))
        downgrade(postgres_settings, target)
    assert contents(connection) == {}
    assert upgrade(postgres_settings) == revisions
    assert contents(connection).keys() == full.keys()


def test_a_migration_only_adds(postgres_settings: PostgresSettings, connection: Connection) -> None:
    """Or the version before could not run on it: see docs/upgrade.md."""
    revisions = _revisions()
    downgrade(postgres_settings, revisions[0])
    for revision in revisions[1:]:
        before, rules_before = columns(connection), constraints(connection)
        upgrade(postgres_settings, revision)
        after, rules_after = columns(connection), constraints(connection)
        tables = {table for table, _ in before}
        for (table, column), (kind, nullable, _) in before.items():
            if (revision, table, column) in CONTRACTED:
                continue
            assert (table, column) in after, f"{revision} removes {table}.{column}"
            assert after[table, column][0] == kind, f"{revision} changes the type of {table}.{column}"
            assert after[table, column][1] >= nullable, f"{revision} forbids null in {table}.{column}"
        for (table, column), (_, nullable, filled) in after.items():
            if table in tables and (table, column) not in before:
                assert nullable or filled, f"{revision}: who does not know {table}.{column} cannot insert"
        changed = {
            (table, name, rule)
            for table, name, rule in rules_before ^ rules_after
            if table in tables and (revision, name) not in LOOSENED
        }
        assert not changed, f"{revision} asks other things of rows than the version before knows"


def test_the_schema_of_a_later_version_is_run_on_and_left_alone(
    postgres_settings: PostgresSettings, postgres_dsn: str
) -> None:
    expand(postgres_dsn)
    assert not pending(postgres_settings)
    assert status(postgres_settings).newer
    assert upgrade(postgres_settings) == []
    assert status(postgres_settings).revision == REVISION
    with pytest.raises(MisconfiguredError, match="later version"):
        downgrade(postgres_settings)


@pytest.mark.skipif(VARIABLE in os.environ, reason="it is being done")
def test_this_version_does_all_its_work_on_the_schema_of_the_next(repository: Path) -> None:
    """The contract suites of what writes and reads, on a schema with everything added that a migration may add."""
    suites = ["tests/contract/test_apply.py", "tests/contract/test_wall.py"]
    # A schema that is ahead is left as it is, and so are the roles that go with it.
    suites += ["--deselect", "tests/contract/test_wall.py::test_many_migrations_of_one_cluster_make_one_role"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *suites],
        cwd=repository,
        env=os.environ | {VARIABLE: "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5_000:]
