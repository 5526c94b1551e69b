"""Headers that none of ours writes, without value or in bytes that are no UTF-8: whoever reads gets past them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiokafka.producer import message_accumulator
from aiokafka.producer import producer as producing
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from infra.onnx import Embedder
from infra.postgres import PostgresSettings
from streams.producer import Producer, acknowledged
from streams.settings import KafkaSettings
from streams.topics import Topics
from tests.integration.feeds_world import FeedsWorld, added, feeds_world
from tests.integration.test_foreign_producers import NotUtf8


@pytest.fixture
async def feeds(
    kafka_settings: KafkaSettings, postgres_settings: PostgresSettings, embedder: Embedder
) -> AsyncIterator[FeedsWorld]:
    async with feeds_world(kafka_settings, postgres_settings, embedder) as world:
        yield world


async def send(producer: Producer, topic: str, key: str, value: bytes, *headers: tuple[str, bytes | None]) -> None:
    await acknowledged([await producer.send(topic, key=key.encode(), value=value, headers=headers)])


async def test_among_the_events_they_end_no_stream(feeds: FeedsWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (message_accumulator, producing):
        monkeypatch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    before, after = added("before"), added("after")
    async with feeds.stream() as live:
        await feeds.publish(before)
        for header in (("ce_id", None), ("ce_id", b"\xff"), (NotUtf8("x"), b"v")):
            await send(feeds.producer, Topics.of(feeds.kafka).events, before.key, b"{}", header)
        await feeds.publish(after)
        assert await live.texts(2) == ["before", "after"]
    async with feeds.stream("?from=beginning") as resumed:
        assert await resumed.texts(2) == ["before", "after"]
