"""Expired memories leave after a while, and those whose expiry was put off stay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from agents.maintenance.expiry import Expiry
from agents.settings import WorkerSettings
from infra.postgres import Database
from infra.postgres.expiring import expiry_request_id
from schemas.history import RequestStatus
from schemas.identity import memory_id
from schemas.problems import FailureReason
from streams.lag import LagReader
from streams.producer import Producer
from tests.harness.kafka import caught_up, publish, read_topic
from tests.harness.observed import observe
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.workload import message

WITHIN_S = 180
AT_ONCE = {"worker.delete_expired_after_h": "0", "worker.sweep_interval_s": "0.2"}
#: A hundred years: what expired is left to the test.
NEVER = {"worker.delete_expired_after_h": "876000"}


@pytest.fixture
def partitions() -> int:
    return 2


@pytest.fixture
def database(system: System) -> Iterator[Database]:
    with closing(Database(system.postgres)) as opened:
        yield opened


@pytest.fixture
async def expiry(system: System, database: Database) -> AsyncIterator[Expiry]:
    """What a worker does, at once and by hand."""
    settings = WorkerSettings(delete_expired_after_h=0)
    async with Producer(system.kafka) as producer, LagReader(system.kafka) as lag:
        yield Expiry(database, lag, producer, system.topics, settings)


def add(request_id: str, expires: str | None = "2020-01-01") -> dict[str, Any]:
    more = {"expiration_date": expires} if expires else {}
    return {
        "request_id": request_id,
        "op": "add",
        "user_id": f"u-{request_id}",
        "text": request_id,
        **more,
    }


def id_of(request_id: str) -> Any:
    return memory_id("default", request_id, 0)


async def send(system: System, *requests: dict[str, Any]) -> None:
    await publish(system, map(message, requests))
    await caught_up(system, WITHIN_S)


async def test_what_expired_leaves_after_a_while_with_several_workers(system: System, database: Database) -> None:
    for _ in range(2):
        system.start_worker(AT_ONCE)
    assert database.expiring.due(timedelta(0), 1) == []
    await send(system, *(add(f"old{n}") for n in range(20)), add("later", "2099-01-01"), add("never", None))

    async def gone() -> bool:
        return len(database.expiring.due(timedelta(0), 100)) == 0 and len((await observe(system)).points) == 2

    await eventually(gone, WITHIN_S, "all that expired is deleted", system.logs)
    await caught_up(system, WITHIN_S)
    seen = await observe(system)
    assert {row.text for row in seen.rows.values() if row.deleted_at is None} == {"later", "never"}
    assert seen.points.keys() == {id_of("later"), id_of("never")}
    deletes = [entries[1] for entries in seen.history.values() if len(entries) > 1]
    assert {entry.request_id for entry in deletes} == {expiry_request_id(id_of(f"old{n}"), 1) for n in range(20)}
    keys = {record.key for record in seen.requests if b"expired:" in (record.value or b"")}
    assert keys == {f"default/user:u-old{n}".encode() for n in range(20)}


async def test_what_is_put_off_meanwhile_stays(system: System, database: Database, expiry: Expiry) -> None:
    worker = system.start_worker(NEVER)
    await send(system, add("a"), add("b"))
    # A worker has seen both as expired, and is paused before it publishes.
    seen = database.expiring.due(timedelta(0), 10)
    assert {memory.id for memory in seen} == {id_of("a"), id_of("b")}
    assert database.expiring.due(timedelta(hours=876_000), 10) == []
    longer = {"op": "update", "user_id": "u-b", "memory_id": str(id_of("b")), "expiration_date": "2099-01-01"}
    await send(system, {"request_id": "longer", **longer})
    assert await expiry.publish(seen) == 2
    await caught_up(system, WITHIN_S)
    assert database.memory("default", id_of("a"), show_expired=True) is None
    assert database.memory("default", id_of("b")) is not None
    refused = database.outcome("default", expiry_request_id(id_of("b"), 1))
    assert refused is not None
    assert (refused.status, refused.reason) == (RequestStatus.FAILED, FailureReason.VERSION_CONFLICT)
    # Expired again, it is another version, and goes then.
    again = {"op": "update", "user_id": "u-b", "memory_id": str(id_of("b")), "expiration_date": "2021-01-01"}
    await send(system, {"request_id": "again", **again})
    assert await expiry.once() == 1
    await caught_up(system, WITHIN_S)
    assert database.memory("default", id_of("b"), show_expired=True) is None
    assert await expiry.once() == 0
    assert await worker.stop() == 0


async def test_a_delete_that_came_to_nothing_is_not_asked_for_for_ever(
    system: System, database: Database, expiry: Expiry
) -> None:
    system.start_worker(NEVER)
    await send(system, add("a"))
    # A producer took its id for something else.
    await send(system, add(expiry_request_id(id_of("a"), 1), None))
    before = len(await read_topic(system, system.topics.requests))
    assert await expiry.once() == 0
    assert len(await read_topic(system, system.topics.requests)) == before
    assert database.memory("default", id_of("a")) is None
