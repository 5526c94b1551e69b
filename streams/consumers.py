"""How we read from Kafka: every consumer of ours but Faust's is made here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from schemas.problems import StoreUnavailableError
from streams.closing import closed
from streams.lenient_headers import read_leniently
from streams.security import client_options
from streams.settings import KafkaSettings


class _Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    async def stop(self) -> None:
        await closed(self._stop_all())

    async def _stop_all(self) -> None:
        try:
            await super().stop()
        finally:
            # A fetch that waits to be tried again ends ``stop`` early when it is cancelled there.
            await self._client.close()


def make_consumer(settings: KafkaSettings, *topics: str, **options: Any) -> AIOKafkaConsumer:
    """A consumer that is to be started. It reads what anybody may write, see ``lenient_headers``."""
    read_leniently()
    return _Consumer(
        *topics,
        **client_options(settings),
        request_timeout_ms=int(settings.request_timeout_s * 1000),
        **options,
    )


@asynccontextmanager
async def open_consumer(settings: KafkaSettings, *topics: str, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A connected consumer; what Kafka raises in the block becomes ``StoreUnavailableError``."""
    consumer = make_consumer(settings, *topics, **options)
    try:
        await consumer.start()
        yield consumer
    except KafkaError as error:
        raise StoreUnavailableError("Kafka", f"{settings.bootstrap_servers}: {error!r}") from error
    finally:
        await consumer.stop()
