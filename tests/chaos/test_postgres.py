"""Postgres in trouble: killed in the middle of a transaction, out of connections, with a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import psycopg2
import psycopg2.extensions
import pytest

from schemas.identity import memory_id
from tests.harness.case import Case, stop_cleanly
from tests.harness.kafka import Message, has_members, publish
from tests.harness.load import progressed, under_load
from tests.harness.own_stores import OwnStores
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.workload import message

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

_WORKERS = "application_name = 'agentmem'"
#: A transaction that has written something and waits for somebody else's.
_HELD = f"""
    SELECT count(*) FROM pg_stat_activity
    WHERE {_WORKERS} AND backend_xid IS NOT NULL AND wait_event_type = 'Lock'
"""
#: Takes the place of a memory's first version.
_TAKE = """
    INSERT INTO memory_history (memory_id, version, project, text, role, metadata, kind, request_id, index,
                                created_at, updated_at, recorded_at)
    VALUES (%s, 1, 'default', '', 'user', '{}', 'added', %s, 0, now(), now(), now())
"""


@pytest.mark.case("postgres-killed")
async def test_postgres_killed_in_the_middle_of_a_transaction(
    breakable: OwnStores, breakable_system: System, case: Case
) -> None:
    system = breakable_system
    workers = [system.start_worker() for _ in range(2)]
    await has_members(system, 2)
    messages = list(case.work(poison=0.01).messages(case.scaled(4_000, 1_500)))
    async with under_load(system, messages, case.scaled(60, 20), rest_at_end=True):
        for number in range(case.scaled(3, 1)):
            await progressed(system, 100)
            with _never_committed(system, f"held-{number}"):
                await publish(system, [_add(case, f"held-{number}")])
                await _held(system)
                await breakable.kill("postgres")
            await breakable.start("postgres")
            await case.recovers(system)
    await case.judge(system)
    await stop_cleanly(*workers)


@pytest.mark.case("postgres-connections", full=True)
async def test_no_connection_to_postgres_is_left(
    breakable: OwnStores, breakable_system: System, case: Case
) -> None:
    system = breakable_system
    workers = [system.start_worker() for _ in range(2)]
    await has_members(system, 2)
    messages = list(case.work(poison=0.01).messages(case.scaled(4_000, 1_000)))
    async with under_load(system, messages, case.scaled(40, 15)):
        await progressed(system, 100)
        with _all_connections(system):
            for worker in workers:
                await worker.says("waiting for a store")
                await worker.says("too many clients")
            await asyncio.sleep(case.scaled(20, 3))
        await case.recovers(system)
    await case.judge(system)
    await stop_cleanly(*workers)


@contextmanager
def _never_committed(system: System, request_id: str) -> Iterator[None]:
    """Hold a worker that adds a memory by this request before it can commit.

    It has written all but the history then, and waits to see whether ours is committed.
    """
    with closing(_connect(system)) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(_TAKE, (str(memory_id("default", request_id, 0)), request_id))
        yield


async def _held(system: System) -> None:
    with closing(_connect(system)) as connection, connection.cursor() as cursor:

        async def seen() -> bool:
            cursor.execute(_HELD)
            return cursor.fetchall() != [(0,)]

        await eventually(seen, 120, "a worker's transaction is held", system.logs)


def _add(case: Case, request_id: str) -> Message:
    vector = [case.random.gauss(0, 1) for _ in range(case.embedder.identity.dimension)]
    request = {"request_id": request_id, "op": "add", "user_id": "held", "text": request_id, "vector": vector}
    return message(request)


@contextmanager
def _all_connections(system: System) -> Iterator[None]:
    """Hold every connection that Postgres gives, those of the workers too."""
    with ExitStack() as held:
        first = held.enter_context(closing(_connect(system)))
        left = 1
        while left:
            while (more := _try_connect(system)) is not None:
                held.enter_context(closing(more))
            with first.cursor() as cursor:
                cursor.execute(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {_WORKERS}")
                [(left,)] = cursor.fetchall()
        yield


def _try_connect(system: System) -> psycopg2.extensions.connection | None:
    try:
        return _connect(system)
    except psycopg2.OperationalError as error:
        if "too many clients" not in str(error):
            raise
        return None


def _connect(system: System) -> psycopg2.extensions.connection:
    connection = psycopg2.connect(system.postgres.dsn.get_secret_value(), application_name="chaos")
    connection.autocommit = True
    return connection
