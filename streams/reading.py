"""Reading a topic without a consumer group: what it keeps, up to what is there now or for ever."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, Literal

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from schemas.problems import MisconfiguredError
from streams.consumers import open_consumer
from streams.records import Record
from streams.settings import CLIENT_MAX_BYTES, KafkaSettings
from streams.topics import missing_topics

#: Where reading begins: at the first record kept, behind the last, or at the first one from this moment on.
Start = Literal["beginning", "end"] | datetime

_POLL_MS: Final = 500


async def read_records(
    settings: KafkaSettings, topic: str, start: Start, *, follow: bool = False
) -> AsyncGenerator[Record, None]:
    """The records from ``start`` to what is there now, by time; or with ``follow`` for ever, as they come.

    Each partition is in its order. Raises ``StoreUnavailableError`` when Kafka does not answer,
    ``MisconfiguredError`` without the topic.
    """
    async with _consumer(settings, topic) as consumer:
        ends = await _position(consumer, start)
        async for record in _as_they_come(consumer) if follow else _by_time(consumer, ends):
            yield _record(record)


async def read_record(settings: KafkaSettings, topic: str, partition: int, offset: int) -> Record | None:
    """One record; None when the topic does not keep it. Raises what :func:`read_records` does."""
    async with _consumer(settings, topic) as consumer:
        place = TopicPartition(topic, partition)
        if place not in consumer.assignment():
            return None
        ends = await consumer.end_offsets([place])
        if not (await consumer.beginning_offsets([place]))[place] <= offset < ends[place]:
            return None
        consumer.seek(place, offset)
        while await consumer.position(place) < ends[place]:
            for records in (await _fetched(consumer, [place], ends, max_records=1)).values():
                return _record(records[0]) if records[0].offset == offset else None
        return None


@asynccontextmanager
async def _consumer(settings: KafkaSettings, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    if topic in await missing_topics(settings):
        raise MisconfiguredError(f"Kafka has no topic {topic}: run 'agentmem topics', or check kafka.topic_prefix")
    async with open_consumer(
        settings, topic, max_partition_fetch_bytes=CLIENT_MAX_BYTES, auto_offset_reset="earliest"
    ) as consumer:
        yield consumer


async def _position(consumer: AIOKafkaConsumer, start: Start) -> dict[TopicPartition, int]:
    """Go to where reading begins; the offsets at which the log ends now."""
    partitions = consumer.assignment()
    ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    if isinstance(start, datetime):
        moment = int(start.timestamp() * 1000)
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, moment))
        begins = {one: found[one].offset if found[one] else ends[one] for one in partitions}
    else:
        begins = ends if start == "end" else await consumer.beginning_offsets(partitions)
    for partition, offset in begins.items():
        consumer.seek(partition, offset)
    return ends


async def _as_they_come(consumer: AIOKafkaConsumer) -> AsyncGenerator[ConsumerRecord, None]:
    while True:
        for part in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
            for record in part:
                yield record


async def _by_time(
    consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]
) -> AsyncGenerator[ConsumerRecord, None]:
    """What the log holds up to ``ends``: each partition in its order, and across partitions by time."""
    waiting: dict[TopicPartition, deque[ConsumerRecord]] = {partition: deque() for partition in ends}
    while True:
        # The next record by time is known only when every partition shows its next one, or has none left.
        unknown = [
            partition
            for partition, records in waiting.items()
            if not records and await consumer.position(partition) < ends[partition]
        ]
        if unknown:
            for partition, part in (await _fetched(consumer, unknown, ends)).items():
                waiting[partition] += [record for record in part if record.offset < ends[partition]]
            continue
        shown = [records for records in waiting.values() if records]
        if not shown:
            return
        yield min(shown, key=lambda records: records[0].timestamp).popleft()


async def _fetched(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], ends: dict[TopicPartition, int], **options: int
) -> dict[TopicPartition, list[ConsumerRecord]]:
    """More records, perhaps none. ``ends`` come down when the log was cut back meanwhile."""
    found: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
        *partitions, timeout_ms=_POLL_MS, **options
    )
    if not found:
        # aiokafka fetches again and again, and says nothing, while Kafka is away: this raises then.
        now = await consumer.end_offsets(partitions)
        ends |= {partition: min(ends[partition], end) for partition, end in now.items()}
    return found


def _record(found: ConsumerRecord) -> Record:
    return Record(
        topic=found.topic,
        partition=found.partition,
        offset=found.offset,
        timestamp=found.timestamp / 1000,
        key=found.key,
        value=found.value,
        headers=found.headers,
    )
