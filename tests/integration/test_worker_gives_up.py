"""A worker that ends by itself says why and what to do, and leaves everything for the next one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2

from agentmem.exit_codes import ExitCode
from schemas.identity import memory_id
from tests.harness.databases import administer
from tests.harness.kafka import caught_up, lag, publish
from tests.harness.observed import observe
from tests.harness.system import System
from tests.harness.workload import message

WITHIN_S = 180
#: An error of a kind that no store is known to have.
FAIL = """
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'nobody foresaw this'; END $$;
    CREATE TRIGGER fail BEFORE INSERT ON memories FOR EACH ROW EXECUTE FUNCTION fail()
"""


def request(number: int, op: str = "add", **fields: Any) -> dict[str, Any]:
    return {"request_id": f"r{number}", "op": op, "user_id": "alice", **fields}


@contextmanager
def row_locked(system: System, id: str) -> Iterator[None]:
    """Nobody else can change this memory while the block runs."""
    with closing(psycopg2.connect(system.postgres.dsn.get_secret_value())) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM memories WHERE id = %s FOR UPDATE", (id,))
            assert cursor.rowcount == 1
        yield
        connection.rollback()


async def test_one_that_stands_still_is_ended_by_its_watchdog(system: System) -> None:
    id = str(memory_id("default", "r1", 0))
    # Longer than the watchdog waits: the statement is no store that is down.
    worker = system.start_worker({"worker.watchdog_s": "10", "postgres.statement_timeout_s": "600"})
    await publish(system, [message(request(1, text="Alice lives in Bern"))])
    await caught_up(system, WITHIN_S)
    with row_locked(system, id):
        await publish(system, [message(request(2, "update", memory_id=id, text="Alice lives in Basel"))])
        assert await worker.ended(WITHIN_S) == ExitCode.FAILED, worker.tail()
    said = worker.text()
    assert "Error: 1 records wait, no store is down, and nothing was committed for 10 s" in said
    assert "Start it again, unless a supervisor does" in said
    assert "unexpected" not in said
    assert "Traceback" not in said
    assert "StuckError" not in said  # which is no problem of a store

    system.start_worker()
    await caught_up(system, WITHIN_S)
    assert [row.text for row in (await observe(system)).rows.values()] == ["Alice lives in Basel"]


async def test_one_for_which_every_record_fails_shows_what_failed(system: System) -> None:
    dsn = system.postgres.dsn.get_secret_value()
    administer(dsn, FAIL)
    await publish(system, [message(request(number, text=f"Fact {number}")) for number in range(5)])
    worker = system.start_worker()
    assert await worker.ended(WITHIN_S) == ExitCode.FAILED, worker.tail()
    said = worker.text()
    [told] = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert told.startswith("Error: every record fails in stage apply: ")
    assert "nobody foresaw this" in told
    assert told.endswith("mend the cause and start the worker again.")
    # For who mends it the log has where it failed.
    assert "the worker gave up" in said
    assert "agents/stages/apply.py" in said
    # One or two that came alone may have been held for poison.
    left = await lag(system)
    assert left >= 3

    administer(dsn, "DROP TRIGGER fail ON memories")
    system.start_worker()
    await caught_up(system, WITHIN_S)
    assert len((await observe(system)).rows) == left
