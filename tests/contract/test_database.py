"""What the rest of AgentMem relies on in Postgres."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import event, text

from agents.items import Item
from agents.stages.apply import apply
from infra.postgres import Database, PostgresSettings
from infra.postgres.engine import make_engine
from infra.postgres.migrate import downgrade, pending, upgrade
from infra.postgres.tables import metadata
from schemas.history import RequestStatus
from schemas.memories import Memory, Standing
from schemas.problems import BatchRejectedError, MisconfiguredError, RecordRejectedError, StoreUnavailableError
from schemas.requests import MemoryRequest
from schemas.scope import Scope
from tests.harness import items
from tests.harness.databases import lock_waits


def item(**fields: Any) -> Item:
    fields = {"request_id": str(uuid4()), "op": "add", "user_id": "alice", **fields}
    return items.item(MemoryRequest.model_validate(fields))


def add(database: Database, **fields: Any) -> Memory:
    applied, _ = apply(database, [item(text="likes tea", **fields)])
    return applied[0].history[0].memory


def test_the_migrations_make_the_tables_that_the_code_expects(postgres_settings: PostgresSettings) -> None:
    engine = make_engine(postgres_settings)
    try:
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    finally:
        engine.dispose()


def test_migrating_down_and_up_again(postgres_settings: PostgresSettings, database: Database) -> None:
    add(database)
    assert not pending(postgres_settings)
    assert upgrade(postgres_settings) == []
    downgrade(postgres_settings)
    assert pending(postgres_settings)
    assert upgrade(postgres_settings)[0] == "0001"
    assert not pending(postgres_settings)


def test_two_migrations_at_once_both_succeed(postgres_settings: PostgresSettings) -> None:
    downgrade(postgres_settings)
    with ThreadPoolExecutor() as threads:
        results = list(threads.map(lambda _: upgrade(postgres_settings), range(3)))
    assert [bool(applied) for applied in sorted(results)] == [False, False, True]


def test_a_live_memory_is_the_projects_own(database: Database) -> None:
    memory = add(database, project="p")
    assert database.memory("p", memory.id) == memory
    assert database.memory("q", memory.id) is None
    assert database.history("q", memory.id) == []


def test_deleted_and_expired_memories_are_not_served(database: Database) -> None:
    gone = add(database)
    expired = add(database, expiration_date="2020-01-01")
    apply(database, [item(op="delete", memory_id=gone.id)])
    assert database.memories("default", [gone.id, expired.id]) == {}
    assert database.memories("default", [gone.id, expired.id], show_expired=True) == {expired.id: expired}
    assert database.current([gone.id])[gone.id].deleted_at is not None


def test_lists_are_exact_newest_first_and_paged(database: Database) -> None:
    first = datetime(2024, 1, 1, tzinfo=UTC)
    memories = [add(database, timestamp=first + timedelta(days=day)) for day in range(5)]
    for other in ("alice-2", "ALICE", "bob alice", " alice"):
        add(database, user_id=other)
    add(database, project="q")
    total, page = database.list_memories(Scope("default", "alice"), limit=2, offset=1)
    assert total == 5
    assert [memory.id for memory in page] == [memories[3].id, memories[2].id]


def test_accepting_twice_is_accepting_once(database: Database) -> None:
    request = item(text="likes tea").request
    first = database.accept(request)
    assert first.status is RequestStatus.ACCEPTED
    assert database.accept(request) == first
    other = request.model_copy(update={"text": "likes coffee"})
    with pytest.raises(RecordRejectedError, match="was used for another request"):
        database.accept(other)


def test_an_accepted_request_is_closed_by_its_record(database: Database) -> None:
    one = item(text="likes tea")
    database.accept(one.request)
    apply(database, [one])
    outcome = database.outcome("default", one.request.request_id)
    assert outcome is not None
    assert (outcome.status, outcome.changes) == (RequestStatus.SUCCEEDED, 1)
    assert database.accept(one.request) == outcome


def test_what_was_accepted_and_never_arrived_is_claimed_once(database: Database) -> None:
    lost, applied = item(text="lost", metadata={"a": 1e2}), item(text="applied")
    for one in (lost, applied):
        database.accept(one.request)
    apply(database, [applied])
    later = database.now()
    assert database.claim_accepted(later - timedelta(hours=1)) == []
    [claimed] = database.claim_accepted(later)
    assert claimed.outcome.hash == lost.request.content_hash()
    assert database.claim_accepted(later) == []
    [again] = database.claim_accepted(database.now())
    assert MemoryRequest.model_validate(again.payload) == lost.request


def test_what_is_projected_is_no_more_of_the_row_than_the_index_needs(database: Database) -> None:
    before = database.now()
    one = add(database, metadata={"a": "y" * 1_000})
    own = add(database, vector=[1.0] + [0.0] * 383)
    gone = add(database)
    apply(database, [item(op="delete", memory_id=gone.id)])
    rows = database.current([one.id, own.id, gone.id])
    assert rows[one.id].metadata == {"a": "y" * 1_000}
    assert {row.text for row in rows.values()} == {"likes tea"}
    assert database.to_project(rows, "AgentMem")[0] == {
        one.id: replace(rows[one.id], metadata={}),
        own.id: replace(rows[own.id], text=""),
        gone.id: replace(rows[gone.id], text=""),
    }
    assert database.standing(rows) == {
        row.id: Standing(row.id, row.scope, row.version, row.deleted_at, row.vector) for row in rows.values()
    }
    assert database.changed_between(before, database.now()) == {one.id: 1, own.id: 1, gone.id: None}


def test_changed_between_pages_through_recent_changes(database: Database) -> None:
    before = database.now()
    ids = sorted(add(database).id for _ in range(5))
    after = database.now()
    page = database.changed_between(before, after, limit=3)
    rest = database.changed_between(before, after, last=max(page), limit=3)
    assert [*page, *rest] == ids
    assert database.changed_between(after, after + timedelta(hours=1)) == {}


def test_keys_are_found_by_their_token_only(database: Database, postgres_settings: PostgresSettings) -> None:
    token = database.create_api_key("p", "ci")
    key = database.api_key(token)
    assert key is not None
    assert (key.project, key.name, key.scopes) == ("p", "ci", frozenset({"read", "write"}))
    assert database.api_key(token + "x") is None
    engine = make_engine(postgres_settings)
    with engine.begin() as connection:
        assert token not in str(connection.execute(text("SELECT * FROM api_keys")).all())
        connection.execute(text("UPDATE api_keys SET revoked_at = now()"))
    engine.dispose()
    assert database.api_key(token) is None


def test_two_workers_with_the_same_requests_apply_them_once(database: Database) -> None:
    items = [item(request_id=f"r{number}", text=f"text {number}") for number in range(50)]
    start = threading.Barrier(4)

    def work(_: int) -> int:
        start.wait()
        while True:
            try:
                applied, _rejected = apply(database, items)
            except StoreUnavailableError:
                continue  # what the pipeline does: the other one was faster
            return sum(not one.repeated for one in applied)

    with ThreadPoolExecutor(4) as threads:
        fresh = list(threads.map(work, range(4)))
    assert sum(fresh) == 50
    total, _ = database.list_memories(Scope("default", "alice"), limit=1)
    assert total == 50


def test_two_workers_that_change_the_same_memories_in_other_order_do_not_deadlock(database: Database) -> None:
    memories = [add(database) for _ in range(20)]

    def work(order: int) -> None:
        for round_ in range(5):
            updates = [
                item(op="update", memory_id=memory.id, text=f"text {order} {round_}")
                for memory in memories[::order]
            ]
            apply(database, updates)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, [1, -1]))
    assert {memory.version for memory in database.current([m.id for m in memories]).values()} == {11}


def test_a_text_that_postgres_refuses_is_the_records_fault(database: Database) -> None:
    fields = {"request_id": "r", "op": "add", "user_id": "alice", "text": "a\0b"}
    bad = items.item(MemoryRequest.model_validate(fields))
    with pytest.raises(BatchRejectedError, match="refuses the data"):
        apply(database, [bad])
    assert database.outcome("default", "r") is None


def test_a_missing_table_stops_the_process(database: Database, postgres_settings: PostgresSettings) -> None:
    downgrade(postgres_settings)
    with pytest.raises(MisconfiguredError, match="agentmem migrate"):
        add(database)


def test_a_database_that_is_not_there_is_waited_for() -> None:
    database = Database(PostgresSettings(dsn=SecretStr("postgresql://u:p@127.0.0.1:1/none"), connect_timeout_s=1))
    with pytest.raises(StoreUnavailableError):
        database.ping()


def test_a_wrong_dsn_is_told() -> None:
    with pytest.raises(MisconfiguredError, match="not a URL"):
        Database(PostgresSettings(dsn=SecretStr("nonsense")))


def kill_connections(settings: PostgresSettings) -> None:
    engine = make_engine(settings, "killer")
    with engine.begin() as connection:
        kill = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'agentmem'"
        connection.execute(text(f"{kill} AND datname = current_database()"))
    engine.dispose()


def test_a_connection_that_died_is_replaced(database: Database, postgres_settings: PostgresSettings) -> None:
    database.ping()
    kill_connections(postgres_settings)
    database.ping()


def test_who_tries_again_anyway_is_told_of_a_connection_that_died(postgres_settings: PostgresSettings) -> None:
    database = Database(postgres_settings, retries=True)
    works: list[Callable[[], object]] = [
        lambda: database.versions([]),
        lambda: add(database),
        database.now,
    ]
    for work in works:
        work()
        kill_connections(postgres_settings)
        with pytest.raises(StoreUnavailableError):
            work()
        work()
    database.close()


def test_closing_gives_up_what_a_thread_waits_for(postgres_settings: PostgresSettings) -> None:
    """Else a worker that is told to stop would wait for a lock as long as a statement may take."""
    patient = Database(postgres_settings.model_copy(update={"statement_timeout_s": 600}), retries=True)
    engine = make_engine(postgres_settings, "holder")
    with ThreadPoolExecutor() as threads, engine.begin() as holder:
        holder.execute(text("LOCK TABLE memories IN ACCESS EXCLUSIVE MODE"))
        waiting = threads.submit(patient.versions, [])
        while "relation" not in lock_waits(postgres_settings.dsn.get_secret_value()):
            assert not waiting.done()
        patient.close()
        with pytest.raises(StoreUnavailableError):
            waiting.result(30)
        # Nobody waits in the server either, long before a statement's time is up.
        while "relation" in lock_waits(postgres_settings.dsn.get_secret_value()):
            time.sleep(0.05)
    engine.dispose()


def test_a_batch_asks_postgres_six_times(postgres_settings: PostgresSettings) -> None:
    """Each question costs a small batch as much as its rows do; the worker's latency hangs on their number."""
    database = Database(postgres_settings, retries=True)
    asked: list[str] = []
    event.listen(database._engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    applied, _ = apply(database, [item(text="likes tea"), item(text="likes coffee")])
    ids = [entry.memory.id for one in applied for entry in one.history]
    database.to_project(ids, "AgentMem")
    assert database.versions(ids) == dict.fromkeys(ids, 1)
    database.close()
    assert len(asked) == 6, asked


def test_connections_that_break_in_the_midst_of_a_read_are_replaced(postgres_settings: PostgresSettings) -> None:
    with (
        closing(Database(postgres_settings, retries=True)) as database,
        closing(Database(postgres_settings)) as other,
    ):
        for _ in range(postgres_settings.pool_size + 1):
            with suppress(StoreUnavailableError), database._reading() as connection:
                pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
                with other._connection() as killing:
                    killing.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})
        assert database.versions([]) == {}
