"""Requests that a gateway accepted and whose record never arrived."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from agents.maintenance.republish import Republish
from agents.settings import WorkerSettings
from agents.stages.announce import AnnounceStage
from infra.postgres import Database
from infra.postgres.engine import make_engine
from schemas.events import Event
from schemas.history import RequestStatus
from schemas.problems import DeadLetterReason
from schemas.requests import MemoryRequest
from streams.lag import LagReader
from streams.producer import Producer
from tests.harness.kafka import read_topic
from tests.harness.memory import traced
from tests.harness.system import System
from tests.harness.waiting import eventually

WITHIN_S = 180


@pytest.fixture
def partitions() -> int:
    return 1


def accept(database: Database, request_id: str, **fields: Any) -> None:
    request = {"request_id": request_id, "op": "add", "user_id": "alice", "text": "likes tea", **fields}
    database.accept(MemoryRequest.model_validate(request))


class DiedError(Exception):
    """Ends the announcing where a test wants it to end."""


class Dies(AnnounceStage):
    """A worker that is killed before Kafka has the event."""

    async def send(self, events: Iterable[tuple[Event, str | None]]) -> None:
        raise DiedError


async def test_what_was_not_told_stays_open_and_is_failed_again(system: System) -> None:
    settings = WorkerSettings(republish_after_s=1)
    with closing(Database(system.postgres)) as database:
        accept(database, "too large", text="x" * 5_000)
        async with Producer(system.kafka) as producer, LagReader(system.kafka) as lag:
            dying, living = (
                Republish(database, lag, producer, kind(producer, system.topics), system.topics, settings, 2048)
                for kind in (Dies, AnnounceStage)
            )

            async def died() -> bool:
                try:
                    await dying.once()
                except DiedError:
                    return True
                return False

            await eventually(died, WITHIN_S, "it is old enough to be published again", system.logs)
            left = database.outcome("default", "too large")
            assert left is not None
            assert left.is_open
            assert await read_topic(system, system.topics.events) == []

            async def closed() -> bool:
                await living.once()
                found = database.outcome("default", "too large")
                return found is not None and found.status is RequestStatus.FAILED

            await eventually(closed, WITHIN_S, "it is failed", system.logs)
    assert len(await read_topic(system, system.topics.events)) == 1


async def test_many_large_ones_are_published_a_few_at_a_time(system: System) -> None:
    count, size = 40, 1_000_000
    with closing(Database(system.postgres)) as database:
        for number in range(count):
            accept(database, f"r{number}", text="x" * size)
        async with Producer(system.kafka) as producer, LagReader(system.kafka) as lag:
            settings, announcing = WorkerSettings(republish_after_s=1), AnnounceStage(producer, system.topics)
            republish = Republish(database, lag, producer, announcing, system.topics, settings, 2 * size)
            due = database.now() + timedelta(seconds=2)

            async def all_are_due() -> bool:
                return database.now() > due

            await eventually(all_are_due, WITHIN_S, "they are old enough to be published again", system.logs)
            with traced() as memory:
                assert await republish.once() == count
    assert memory.peak < count * size
    ids = {
        orjson.loads(one.value or b"")["request_id"] for one in await read_topic(system, system.topics.requests)
    }
    assert ids == {f"r{number}" for number in range(count)}


async def test_what_no_worker_would_take_ends_as_failed_and_the_others_are_applied(system: System) -> None:
    """Published again, it would be set aside unread, again and again."""
    with closing(Database(system.postgres)) as database:
        accept(database, "too large", text="x" * 5_000)
        accept(database, "of another version")
        accept(database, "lost")
        engine = make_engine(system.postgres)
        with engine.begin() as connection:
            strange = "UPDATE requests SET payload = '{\"op\": \"fly\"}' WHERE request_id = 'of another version'"
            connection.execute(text(strange))
        engine.dispose()
        system.start_worker({"worker.republish_after_s": "1", "kafka.request_max_bytes": "2048"})

        async def closed() -> bool:
            found = [database.outcome("default", id) for id in ("too large", "of another version", "lost")]
            return all(one is not None and not one.is_open for one in found)

        await eventually(closed, WITHIN_S, "all three are done with", system.logs)
        outcomes = {id: database.outcome("default", id) for id in ("too large", "of another version", "lost")}

    async def told() -> bool:
        return len(await read_topic(system, system.topics.events)) >= 3

    await eventually(told, WITHIN_S, "their events", system.logs)
    ended = {id: (one.status, one.reason) for id, one in outcomes.items() if one is not None}
    assert ended == {
        "too large": (RequestStatus.FAILED, DeadLetterReason.TOO_LARGE),
        "of another version": (RequestStatus.FAILED, DeadLetterReason.INVALID_SCHEMA),
        "lost": (RequestStatus.SUCCEEDED, None),
    }
    events = [orjson.loads(one.value or b"") for one in await read_topic(system, system.topics.events)]
    assert {event["request_id"]: event.get("reason") for event in events} == {
        "too large": "too_large",
        "of another version": "invalid_schema",
        "lost": None,
    }
    assert await read_topic(system, system.topics.dead_letters) == []
