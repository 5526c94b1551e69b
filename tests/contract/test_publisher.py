"""What the gateway's publisher promises while Kafka is away."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from agents.stages.apply import apply
from agents.stages.purge import purge
from gateway.settings import GatewaySettings
from gateway.threads import Call
from gateway.writes.progress import Progress
from gateway.writes.publisher import Publisher
from gateway.writes.waiters import Waiters
from infra.postgres import Database
from schemas.history import RequestStatus
from schemas.problems import StoreUnavailableError
from schemas.requests import MemoryRequest
from streams.producer import Producer
from streams.settings import KafkaSettings
from tests.harness.items import item


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as threads:
        yield threads


def publisher(database: Database, threads: ThreadPoolExecutor, kafka_is_up: bool) -> Publisher:
    # A producer that never connected: what it is given is refused, as by one that lost its brokers.
    kafka = KafkaSettings()
    producer = Producer(kafka)
    return Publisher(GatewaySettings(), kafka, producer, database, Call(threads), Waiters(), lambda: kafka_is_up)


def request(**fields: Any) -> MemoryRequest:
    return MemoryRequest.model_validate(
        {"request_id": "r", "op": "add", "user_id": "alice", "text": "x", **fields}
    )


async def test_what_was_accepted_and_not_published_is_pending_and_left_to_a_worker(
    database: Database, threads: ThreadPoolExecutor
) -> None:
    wanted = [request(request_id=f"r{number}") for number in range(3)]
    answers = await publisher(database, threads, kafka_is_up=True).submit_all_and_wait(wanted)
    assert [answer.status for answer in answers] == [RequestStatus.ACCEPTED] * 3
    assert {one.outcome.request_id for one in database.claim_accepted(database.now())} == {"r0", "r1", "r2"}


async def test_nothing_is_accepted_while_kafka_is_known_to_be_away(
    database: Database, threads: ThreadPoolExecutor
) -> None:
    with pytest.raises(StoreUnavailableError, match="Kafka"):
        await publisher(database, threads, kafka_is_up=False).submit(request())
    assert database.outcome("default", "r") is None


async def test_only_who_adds_is_told_of_the_changes(database: Database, threads: ThreadPoolExecutor) -> None:
    adding, deleting = request(), MemoryRequest(request_id="d", op="delete_all", user_id="alice")
    apply(database, [item(adding)])
    while purge(database, item(deleting)).is_open:
        pass
    publishing = publisher(database, threads, kafka_is_up=True)
    # Both have ended: what is told comes from Postgres.
    added, deleted = [await publishing.submit_and_wait(one) for one in (adding, deleting)]
    assert (added.status, [change.text for change in added.changes]) == (RequestStatus.SUCCEEDED, ["x"])
    assert deleted == Progress(RequestStatus.SUCCEEDED)
    told = await publishing.progress("default", "d")
    assert told is not None
    assert [change.text for change in told.changes] == ["x"]
