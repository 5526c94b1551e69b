"""A cancellation that comes while a client of Kafka closes is not lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from schemas.problems import StoreUnavailableError
from streams.consumers import open_consumer
from streams.lag import LagReader
from streams.settings import KafkaSettings
from streams.topics import admin_client, ensure_topics
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
