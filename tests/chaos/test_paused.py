"""A worker that stands still in the middle of a transaction, with locks that others wait for."""

from __future__ import annotations

import asyncio
import signal
from contextlib import closing
from uuid import UUID

import psycopg2
import pytest

from agents import failpoints
from infra.postgres import Database
from schemas.identity import memory_id
from tests.harness.case import Case, stop_cleanly
from tests.harness.kafka import Message, caught_up, has_members, publish
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.workload import message

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

MEMORIES = 60
_IN_TRANSACTION = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'agentmem'"
    " AND state = 'idle in transaction' AND backend_xid IS NOT NULL"
)


@pytest.mark.case("paused-in-transaction")
async def test_a_worker_stands_still_within_a_transaction(system: System, database: Database, case: Case) -> None:
    """Its partitions are taken over, and newer requests for the memories that it has locked are applied.

    When it wakes up, what it had not committed is gone, and it goes on as ever.
    """
    bound_s = case.scaled(30, 10)
    settings = {"postgres.idle_in_transaction_timeout_s": str(bound_s)}
    other = system.start_worker(settings)
    await publish(system, (_request(number, "add") for number in range(MEMORIES)))
    await caught_up(system, 120)
    zombie = system.start_worker(settings, {failpoints.VARIABLE: f"{failpoints.IN_TRANSACTION}:1:SIGSTOP"})
    await has_members(system, 2)
    await publish(system, (_request(number, "update", "held") for number in range(MEMORIES)))
    await eventually(zombie.stands_still, 120, "the worker stands still", zombie.tail)
    assert _in_transaction(system), "it holds no lock: the case shows nothing"
    loop = asyncio.get_running_loop()
    began = loop.time()
    await publish(system, (_request(number, "update", "newer") for number in range(MEMORIES)))
    await caught_up(system, bound_s + 120)
    case.counts["held_s"] = loop.time() - began
    assert await zombie.stands_still()
    current = database.current([_id(number) for number in range(MEMORIES)]).values()
    assert {(memory.version, memory.text.split()[0]) for memory in current} == {(3, "newer")}

    with case.recovering():
        zombie.signal(signal.SIGCONT)
        await has_members(system, 2)
    await case.judge(system)
    await stop_cleanly(zombie, other)


def _request(number: int, op: str, text: str = "old") -> Message:
    request: dict[str, object] = {
        "request_id": f"{text}-{number}",
        "op": op,
        "user_id": f"user-{number}",
        "text": f"{text} {number}",
    }
    return message(request | ({"memory_id": str(_id(number))} if op == "update" else {}))


def _id(number: int) -> UUID:
    return memory_id("default", f"old-{number}", 0)


def _in_transaction(system: System) -> list[int]:
    """The sessions of workers that have written something and now ask nothing."""
    dsn = system.postgres.dsn.get_secret_value()
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(_IN_TRANSACTION)
        return [pid for (pid,) in cursor.fetchall()]
