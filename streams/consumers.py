"""How we read from Kafka: every consumer of ours but Faust's is made here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError

from schemas.problems import StoreUnavailableError
from schemas.sizes import TOGETHER_BYTES
from streams.closing import closed
from streams.lenient_headers import read_leniently
from streams.security import client_options
from streams.settings import MIB, KafkaSettings

#: What a consumer fetches at a time, at most.
_FETCH_BYTES: Final = 8 * MIB
#: How long a poll waits for a first record.
POLL_MS: Final = 500
_POLL_RECORDS: Final = 500


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
        fetch_max_bytes=_FETCH_BYTES,
        **options,
    )


async def poll(consumer: AIOKafkaConsumer) -> tuple[list[ConsumerRecord], bool]:
    """What comes within a moment, each partition in its order, and whether it is enough: there may be more.

    Raises ``KafkaError`` when nothing came before it.
    """
    records: list[ConsumerRecord] = []
    size = 0
    while len(records) < _POLL_RECORDS and size < TOGETHER_BYTES:
        # One at a time: aiokafka has no bound in bytes, and what was fetched may be compressed.
        try:
            batches = await consumer.getmany(timeout_ms=0 if records else POLL_MS, max_records=1)
        except KafkaError:
            if not records:
                raise
            return records, False
        if not batches:
            return records, False
        [[record]] = batches.values()
        records.append(record)
        size += len(record.value or b"")
    return records, True


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
