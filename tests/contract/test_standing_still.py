"""Who stands still within a transaction holds nobody up for long, nor does a server that stands still."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from uuid import UUID

import psutil
import psycopg2
import pytest
from psycopg2.extras import wait_select

from agents.stages.apply import apply
from infra.postgres import Database, PostgresSettings
from infra.postgres.engine import _session
from schemas.problems import StoreUnavailableError
from schemas.requests import MemoryRequest
from schemas.scope import Scope
from tests.harness.items import item

ALICE = Scope("default", "alice")


@pytest.fixture
def sleepy(postgres_settings: PostgresSettings) -> Iterator[Database]:
    with closing(Database(postgres_settings.model_copy(update={"idle_in_transaction_timeout_s": 1}))) as opened:
        yield opened


@pytest.fixture
def memory(database: Database) -> UUID:
    fields = {"request_id": "a", "op": "add", "user_id": "alice", "text": "likes tea"}
    [applied], _ = apply(database, [item(MemoryRequest.model_validate(fields))])
    return applied.history[0].memory.id


def stand_still(sleepy: Database, database: Database, memory: UUID) -> None:
    """Lock a memory, and ask nothing more until another has got the lock."""
    with sleepy.transaction() as holder:
        holder.memories([memory])
        with database.transaction() as waiting:
            assert waiting.memories([memory])
        holder.now()


def test_its_locks_are_freed_and_it_is_told(sleepy: Database, database: Database, memory: UUID) -> None:
    with pytest.raises(StoreUnavailableError, match="closed the connection"):
        stand_still(sleepy, database, memory)
    assert sleepy.memory("default", memory) is not None


def test_a_long_read_goes_on(sleepy: Database, database: Database, memory: UUID) -> None:
    exporting = sleepy.exporting.memories(ALICE, None, history=False)
    forgetting = sleepy.forgetting.ids(ALICE)
    with closing(exporting), closing(forgetting):
        assert (next(exporting)[0].id, next(forgetting)) == (memory, [memory])
        with pytest.raises(StoreUnavailableError, match="closed the connection"):
            stand_still(sleepy, database, memory)
        assert (list(exporting), list(forgetting)) == ([], [])


def test_who_takes_no_answer_is_cut_off(
    database: Database, memory: UUID, postgres_settings: PostgresSettings
) -> None:
    """Its statement has ended for Postgres as soon as it is sent: no timeout of statements helps here."""
    settings = postgres_settings.model_copy(update={"idle_in_transaction_timeout_s": 1})
    options = " ".join(f"-c {name}={value}" for name, value in _session(settings).items())
    dsn = settings.dsn.get_secret_value()
    with closing(psycopg2.connect(dsn, options=options, async_=True)) as stuck:
        wait_select(stuck)
        cursor = stuck.cursor()
        cursor.execute("BEGIN; SELECT FROM memories FOR UPDATE")
        wait_select(stuck)
        cursor.execute("SELECT repeat('x', 100000000)")
        with database.transaction() as waiting:
            assert waiting.memories([memory])


def test_who_closes_does_not_wait_for_a_server_that_stands_still(
    database: Database, memory: UUID, postgres_dsn: str
) -> None:
    """The process of its connection is stopped, so asking the server to end the statement is of no use."""

    def wait_for_lock() -> None:
        with database.transaction() as waiting:
            waiting.memories([memory])

    with closing(psycopg2.connect(postgres_dsn)) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT FROM memories FOR UPDATE")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(wait_for_lock)
            server = _waiting_for_lock(postgres_dsn)
            server.send_signal(signal.SIGSTOP)
            try:
                database.close()
                with pytest.raises(StoreUnavailableError):
                    waiting.result(60)
            finally:
                server.send_signal(signal.SIGCONT)


def _waiting_for_lock(dsn: str) -> psutil.Process:
    """The server's process of the connection that waits."""
    deadline = time.monotonic() + 60
    with closing(psycopg2.connect(dsn)) as looking, looking.cursor() as cursor:
        looking.autocommit = True
        while time.monotonic() < deadline:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if found := cursor.fetchone():
                process = psutil.Process(found[0])
                assert process.name().startswith("postgres")
                return process
    raise AssertionError("nobody waits for the lock")
