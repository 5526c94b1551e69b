"""What a fetch finds that Faust no longer waits for."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from streams.faust_app import ConsumerThread

PARTITION = TopicPartition("memory-requests", 0)


class Consumer:
    def __init__(self) -> None:
        self.sought: list[tuple[TopicPartition, int]] = []

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought.append((partition, offset))


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set it, and the fetch that is under way finds records 5 and 6."""
    there = asyncio.Event()

    async def fetch(*_: Any, **__: Any) -> dict[TopicPartition, list[Any]]:
        await there.wait()
        return {PARTITION: [SimpleNamespace(offset=5), SimpleNamespace(offset=6)]}

    async def nothing(*_: Any) -> None:
        pass

    monkeypatch.setattr(AIOKafkaConsumerThread, "__init__", lambda *_, **__: None)
    monkeypatch.setattr(AIOKafkaConsumerThread, "_fetch_records", fetch)
    monkeypatch.setattr(AIOKafkaConsumerThread, "on_partitions_assigned", nothing)
    return there


async def test_what_a_fetch_from_before_a_rebalance_finds_is_read_again(found: asyncio.Event) -> None:
    thread, consumer = ConsumerThread(), Consumer()
    fetch = asyncio.create_task(thread._fetch_records(consumer, {PARTITION}))
    await asyncio.sleep(0)  # it is under way
    await thread.on_partitions_assigned({PARTITION})
    found.set()
    assert await fetch == {}
    assert consumer.sought == [(PARTITION, 5)]
    assert thread.fetched == {}


async def test_what_a_fetch_finds_counts_as_handed_over(found: asyncio.Event) -> None:
    thread, consumer = ConsumerThread(), Consumer()
    await thread.on_partitions_assigned({PARTITION})
    found.set()
    assert [record.offset for record in (await thread._fetch_records(consumer, {PARTITION}))[PARTITION]] == [5, 6]
    assert consumer.sought == []
    assert thread.fetched == {PARTITION: 7}
