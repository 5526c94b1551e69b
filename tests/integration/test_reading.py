"""Reading a topic while Kafka goes away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError

from schemas.problems import StoreUnavailableError
from streams.producer import Producer, acknowledged
from streams.reading import read_records
from streams.settings import KafkaSettings
from streams.topics import Topics, ensure_topics


async def test_who_reads_is_told_that_kafka_went_away(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka alone would fetch for ever."""
    settings = kafka_settings.model_copy(update={"request_timeout_s": 2.0})
    await ensure_topics(settings)
    topic = Topics.of(settings).dead_letters
    async with Producer(settings) as producer:
        await acknowledged([await producer.send(topic, key=None, value=b"x")])
    fetch = AIOKafkaConsumer.getmany

    async def away(*_: Any, **__: Any) -> Any:
        raise KafkaConnectionError("away")

    async def after_it_went_away(self: Any, *partitions: Any, **options: Any) -> Any:
        monkeypatch.setattr(self._client, "send", away)
        # What had been fetched before is not what this is about.
        found = await fetch(self, *partitions, **options)
        return {partition: records for partition, records in found.items() if not records}

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", after_it_went_away)
    async with asyncio.timeout(60):
        with pytest.raises(StoreUnavailableError):
            _ = [record async for record in read_records(settings, topic, "beginning")]
