"""A cancellation that comes while a client of Kafka closes is not lost, and none comes of closing alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.fetch import FetchRequest

from schemas.problems import StoreUnavailableError
from streams.consumers import make_consumer, open_consumer
from streams.lag import LagReader
from streams.settings import KafkaSettings
from streams.topics import Topics, admin_client, ensure_topics
from tests.harness.waiting import eventually

WITHIN_S = 60


@asynccontextmanager
async def connected_reader(settings: KafkaSettings) -> AsyncIterator[None]:
    async with LagReader(settings) as reader:

        async def reads() -> bool:
            try:
                await reader.read()
            except StoreUnavailableError:  # a new cluster has no coordinators of groups at first
                return False
            return True

        await eventually(reads, WITHIN_S, "the offsets of the group are read")
        yield


@pytest.mark.parametrize("client", [open_consumer, admin_client, connected_reader])
async def test_who_is_cancelled_while_it_closes_is_cancelled(
    kafka_settings: KafkaSettings, client: Callable[[KafkaSettings], AbstractAsyncContextManager[object]]
) -> None:
    """Who connects again and again would go on for ever, and its process would not end."""
    await ensure_topics(kafka_settings)
    is_open, to_close = asyncio.Event(), asyncio.Event()

    async def use() -> None:
        async with client(kafka_settings):
            is_open.set()
            await to_close.wait()

    task = asyncio.create_task(use())
    async with asyncio.timeout(WITHIN_S):
        await is_open.wait()
        to_close.set()
        await asyncio.sleep(0)  # from here on it closes
        assert not task.done()
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled()


async def test_closing_a_consumer_whose_fetch_waits_to_be_tried_again_cancels_nobody(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka lets the cancellation of its own fetch through: who closes would end without a word."""
    await ensure_topics(kafka_settings)
    consumer = make_consumer(kafka_settings, Topics.of(kafka_settings).events)
    await consumer.start()
    client, failed = consumer._client, asyncio.Event()
    send, connections = client.send, list(client._conns.values())

    async def away_for_fetches(node: int, request: object, **options: Any) -> Any:
        if not isinstance(request, FetchRequest):
            return await send(node, request, **options)
        consumer._fetcher._retry_backoff = WITHIN_S
        failed.set()
        raise KafkaConnectionError("away")

    monkeypatch.setattr(client, "send", away_for_fetches)
    async with asyncio.timeout(WITHIN_S):
        await failed.wait()
        await consumer.stop()
    assert connections
    assert not any(connection.connected() for connection in (*connections, *client._conns.values()))
