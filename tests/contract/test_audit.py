"""The audit, and the indexes that came with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from infra.postgres import Database, PostgresSettings
from infra.postgres.audit import AuditEntry
from schemas.problems import MisconfiguredError

ENTRY = AuditEntry("ours", "dlq.drop", "memory-dlq/0/1", {"reason": "invalid_json"}, "anna")


@pytest.fixture
def database(postgres_settings: PostgresSettings) -> Iterator[Database]:
    database = Database(postgres_settings)
    yield database
    database.close()


def test_entries_come_back_in_order(database: Database) -> None:
    other = AuditEntry(None, "dlq.replay", "memory-dlq/0/2", {}, "bob")
    again = AuditEntry("ours", "dlq.replay", ENTRY.subject, {"n": 1}, "bob")
    database.audit.record(ENTRY, other)
    database.audit.record(again)
    found = database.audit.of([ENTRY.subject, "memory-dlq/0/3"])
    assert [(entry.action, entry.detail, entry.actor) for entry in found] == [
        (entry.action, entry.detail, entry.actor) for entry in (ENTRY, again)
    ]
    assert found[0].recorded_at is not None
    assert found[1].recorded_at is not None
    assert found[0].recorded_at < found[1].recorded_at


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'me'", "DELETE FROM audit", "TRUNCATE audit"])
def test_nobody_changes_or_removes_an_entry(database: Database, statement: str) -> None:
    database.audit.record(ENTRY)
    with pytest.raises(MisconfiguredError, match="append-only"), database._connection() as connection:
        connection.execute(text(statement))
    assert len(database.audit.of([ENTRY.subject])) == 1


def test_an_entry_of_another_project_or_of_none_is_behind_the_wall(
    database: Database, postgres_settings: PostgresSettings
) -> None:
    database.audit.record(ENTRY, AuditEntry("theirs", "x", "y", {}, "z"), AuditEntry(None, "x", "y", {}, "z"))
    walled = Database(postgres_settings, walled=True)
    try:
        with walled._connection("ours") as connection:
            assert connection.execute(text("SELECT project FROM audit")).scalars().all() == ["ours"]
    finally:
        walled.close()
