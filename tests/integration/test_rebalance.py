"""A rebalance that is slow in this process, while records come: none is passed over."""

from __future__ import annotations

import asyncio
from typing import Any

import faust
import pytest

from streams.app import Stream
from streams.producer import Producer, acknowledged
from streams.settings import KafkaSettings
from streams.topics import Topics, ensure_topics
from tests.harness.waiting import eventually

WITHIN_S = 60
#: Longer than a fetch takes to find what is there; shorter than it waits for more.
BUSY_S = 0.7


async def test_records_that_come_during_a_rebalance_are_read(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch from before it finds them while Faust is not ready yet, and Faust drops what it finds."""
    await ensure_topics(kafka_settings)
    stream, got = Stream(kafka_settings), set[bytes | None]()
    topic, waiting = Topics.of(kafka_settings).requests, list[list[bytes]]()

    @stream.app.agent(stream.topic, name="reader", concurrency=1)
    async def read(requests: faust.StreamT[bytes]) -> None:
        async for record in stream.records(requests):
            got.add(record.value)

    async def publish(*_: object, **__: object) -> None:
        for values in waiting:
            await acknowledged([await producer.send(topic, key=value, value=value) for value in values])

    on_rebalance = stream.app.agents.on_rebalance

    async def slowly(*arguments: Any) -> None:
        await asyncio.sleep(BUSY_S)
        await on_rebalance(*arguments)

    monkeypatch.setattr(stream.app.agents, "on_rebalance", slowly)
    stream.app.on_partitions_revoked.connect(publish, weak=False)
    async with Producer(kafka_settings) as producer:
        await stream.app.start()
        try:
            await eventually(_member(stream), WITHIN_S, "the group has its member")
            # From here on a fetch is under way, and as nothing was ever committed, nothing is read twice.
            for number in range(3):
                waiting[:] = [[b"%d-%d" % (number, one) for one in range(20)]]
                thread = stream.app.consumer._thread  # type: ignore[attr-defined]
                await thread.call_thread(_rejoin, thread)

                async def all_read() -> bool:
                    return got.issuperset(waiting[0])

                await eventually(all_read, WITHIN_S, "all records are read")
        finally:
            await stream.stop()


def _member(stream: Stream) -> Any:
    async def is_member() -> bool:
        return stream.is_member()

    return is_member


async def _rejoin(thread: Any) -> None:
    thread._ensure_consumer()._coordinator.request_rejoin()
