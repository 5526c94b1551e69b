"""The audit, and the indexes that came with it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, text

from infra.postgres import Database, PostgresSettings
from infra.postgres.audit import AuditEntry
from infra.postgres.reads import past
from schemas.problems import MisconfiguredError
from schemas.scope import Scope

ENTRY = AuditEntry("ours", "dlq.drop", "memory-dlq/0/1", {"reason": "invalid_json"}, "anna")


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


def test_the_gateways_role_adds_entries_of_its_callers_project_only(
    database: Database, postgres_settings: PostgresSettings
) -> None:
    walled = Database(postgres_settings, walled=True)
    try:
        walled.audit.record(ENTRY, project="ours")
        for project in ("theirs", ""):
            with pytest.raises(MisconfiguredError, match="row-level security"):
                walled.audit.record(ENTRY, project=project)
    finally:
        walled.close()
    assert len(database.audit.of([ENTRY.subject])) == 1


FILL = """
INSERT INTO memory_history (memory_id, version, project, user_id, run_id, text, role, metadata, kind, request_id,
    index, created_at, updated_at, recorded_at)
SELECT md5(m::text)::uuid, v, 'p' || (m % 50), 'u' || (m % 500), CASE WHEN m % 3 = 0 THEN 'r' || (m % 700) END,
    repeat('word ', 20), 'user', '{}', 'updated', 'r' || m || '-' || v, 0, at, at, at
FROM generate_series(1, 20000) m, generate_series(1, 2) v,
    LATERAL (SELECT timestamptz '2026-01-01' + (m + v * 20000) * interval '1 second' AS at) t
"""


@pytest.mark.parametrize(
    ("scope", "index"),
    [
        (Scope("p7", user_id="u7"), "memory_history_user"),
        (Scope("p9", run_id="r9"), "memory_history_run"),
        (Scope("p7"), "memory_history_project"),
    ],
)
def test_a_past_moment_of_a_scope_is_found_by_an_index(database: Database, scope: Scope, index: str) -> None:
    statement = select(func.count()).select_from(past(scope, datetime(2026, 1, 1, 6, tzinfo=UTC)))
    with database._connection() as connection:
        connection.execute(text(FILL))
        connection.execute(text("ANALYZE memory_history"))
        query = statement.compile(connection, compile_kwargs={"literal_binds": True})
        plan = "\n".join(connection.execute(text(f"EXPLAIN {query}")).scalars())
        assert index in plan, plan
        assert "Seq Scan" not in plan, plan
