"""Whoever brings the past up again while somebody is forgotten: events told once more, a dead letter replayed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import psycopg2
import pytest
from sqlalchemy import text

from agentmem.dead_letters.replay import Replayer
from agentmem.exit_codes import ExitCode
from agents.maintenance.replay import Wanted, replay
from agents.stages.announce import AnnounceStage
from agents.stages.apply import apply
from infra.postgres import Database
from infra.postgres.engine import lift_limits
from infra.postgres.locks import lock_project
from infra.postgres.webhook_log import REDACTION
from schemas.events import Event
from schemas.problems import StoreUnavailableError
from schemas.requests import MemoryRequest
from schemas.scope import Scope
from streams.dead_letter_log import read_dead_letter
from streams.producer import Producer
from streams.records import Headers
from tests.acceptance.command import Agentmem
from tests.harness.databases import lock_waits
from tests.harness.items import item
from tests.harness.kafka import caught_up, publish, read_topic
from tests.harness.observed import observe
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.workload import message

WITHIN_S = 120
ALICE = Scope("default", "alice")


@pytest.fixture
def partitions() -> int:
    return 2


@pytest.fixture
def database(system: System) -> Iterator[Database]:
    with closing(Database(system.postgres)) as opened:
        yield opened


def request(request_id: str, **fields: Any) -> dict[str, Any]:
    return {"request_id": request_id, "op": "add", "user_id": "alice", "text": "likes tea", **fields}


def add(database: Database, *request_ids: str) -> None:
    """At one moment, and nobody is told."""
    apply(database, [item(MemoryRequest.model_validate(request(one))) for one in request_ids])


def advisory_locks(dsn: str) -> int:
    """How many are held or waited for in this database."""
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database AS its ON its.oid = database"
            " WHERE locktype = 'advisory' AND datname = current_database()"
        )
        [(count,)] = cursor.fetchall()
        return int(count)


async def test_who_waits_to_tell_events_again_can_be_stopped_and_leaves_no_lock(
    system: System, database: Database
) -> None:
    dsn, agentmem = system.postgres.dsn.get_secret_value(), Agentmem(system.folder, system.environment())
    add(database, "r1")
    wanted = Wanted(ALICE, None, database.now())

    async def waits() -> bool:
        return "advisory" in lock_waits(dsn)

    async def unlocked() -> bool:
        return advisory_locks(dsn) == 0

    with database._connection() as redacting:
        lift_limits(redacting)
        lock_project(redacting, REDACTION, "default")
        replaying = asyncio.create_task(replay(database, None, wanted, lambda _: None))
        await eventually(waits, WITHIN_S, "it waits for the redaction")
        replaying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await replaying
        assert await waits(), "its thread is still in the queue"
        with agentmem.running("replay", "events") as command:

            async def waits_too() -> bool:
                return advisory_locks(dsn) == 3

            await eventually(waits_too, WITHIN_S, "it waits as well")
            assert await asyncio.to_thread(command.interrupt) == ExitCode.INTERRUPTED
    await eventually(unlocked, WITHIN_S, "the lock is given back as soon as it comes")


async def test_who_stood_still_while_telling_events_again_tells_no_more(
    system: System, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forget does not wait for it for ever."""
    limit = text("SET LOCAL idle_in_transaction_session_timeout = '1s'")
    monkeypatch.setattr("infra.postgres.replaying._IDLE", limit)
    add(database, "r1", "r2")
    wanted = Wanted(ALICE, None, database.now())

    class Announcing(AnnounceStage):
        async def send(self, events: Iterable[tuple[Event, str | None]]) -> None:
            """It stands still until another has the lock."""
            redaction = pool.submit(database.forgetting.redact_requests, ALICE)
            async with asyncio.timeout(WITHIN_S):
                await asyncio.wrap_future(redaction)
            await super().send(events)

    with ThreadPoolExecutor(1) as pool:
        async with Producer(system.kafka) as producer:
            with pytest.raises(StoreUnavailableError, match="forget them again"):
                await replay(database, Announcing(producer, system.topics), wanted, lambda _: None)
    assert len(await read_topic(system, system.topics.events)) == 1


async def test_a_dead_letter_that_is_being_replayed_is_forgotten_too(system: System, database: Database) -> None:
    """Kafka takes its record when the forget is as far as it comes, and no row tells of it before."""
    dsn, agentmem = system.postgres.dsn.get_secret_value(), Agentmem(system.folder, system.environment())
    system.start_worker()
    await publish(system, [message(request("short", vector=[0.5]))])
    await caught_up(system, WITHIN_S)
    [listed] = map(json.loads, agentmem("dlq", "list", "--json").out.splitlines())
    partition, offset = map(int, listed["id"].split("/"))
    letter = await read_dead_letter(system.kafka, partition, offset)
    assert letter is not None

    with ExitStack() as stack:

        class Late(Producer):
            async def send(
                self, topic: str, *, key: bytes | None, value: bytes | None, headers: Headers = ()
            ) -> asyncio.Future[object]:
                self.forget = stack.enter_context(agentmem.running("forget", "--user", "alice", "--yes"))

                async def waits_or_ended() -> bool:
                    return "advisory" in lock_waits(dsn) or self.forget.process.poll() is not None

                await eventually(waits_or_ended, WITHIN_S, "the forget is as far as it comes", system.logs)
                return await super().send(topic, key=key, value=value, headers=headers)

        async with Late(system.kafka) as producer:
            replayer = Replayer(database, producer, system.topics.requests, 100_000, "test", dry_run=False)
            edited = message(request("another", text="likes umbrellas")).value
            assert (await replayer.replay(letter, edited)).refused is None
            code = await asyncio.to_thread(producer.forget.process.wait, WITHIN_S)
            assert code == ExitCode.OK, producer.forget.lines
    await caught_up(system, WITHIN_S)
    seen = await observe(system)
    assert "umbrellas" in str([record.value for record in seen.requests])
    assert [memory.text for memory in seen.rows.values()] == ["[forgotten]"]
    assert seen.points == {}
