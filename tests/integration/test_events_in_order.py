"""The order of a scope's events stands also when Kafka did not take them at first."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from aiokafka.errors import KafkaConnectionError

from agents.stages.announce import AnnounceStage
from schemas.events import Event, EventType
from schemas.problems import StoreUnavailableError
from streams.consumers import open_consumer
from streams.producer import Producer
from streams.settings import KafkaSettings
from streams.topics import Topics, ensure_topics

#: More than one batch of aiokafka's, and than what is handed over at a time.
NUMBER, BYTES = 1_000, 1_000


def event(number: int) -> Event:
    return Event(
        UUID(int=number), EventType.ADDED, None, datetime.now(UTC), "default/alice", b"%d" % number + b" " * BYTES
    )


async def test_what_waits_behind_lost_events_is_not_told_before_them(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ensure_topics(kafka_settings)
    topics, events = Topics.of(kafka_settings), [event(number) for number in range(NUMBER)]
    failures = 0
    async with Producer(kafka_settings) as producer:
        client: Any = producer._producer.client  # type: ignore[union-attr]
        send = client.send
        lost = asyncio.Event()
        late = KafkaConnectionError("no answer in time")
        late.retriable = False  # as what has waited for too long

        async def lose_the_first(node: int, request: Any, **options: Any) -> Any:
            if request.__class__.__name__.startswith("ProduceRequest") and not lost.is_set():
                lost.set()
                raise late
            return await send(node, request, **options)

        monkeypatch.setattr(client, "send", lose_the_first)
        while True:
            try:
                await AnnounceStage(producer, topics).send((one, None) for one in events)
            except StoreUnavailableError:
                failures += 1
            else:
                break
    assert failures == 1
    read: list[int] = []
    async with open_consumer(kafka_settings, topics.events, auto_offset_reset="earliest") as consumer:
        async with asyncio.timeout(60):
            while NUMBER - 1 not in read:
                read.append(int((await consumer.getone()).value))
    assert read == list(range(NUMBER))
