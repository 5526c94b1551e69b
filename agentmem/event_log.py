"""The events as Kafka keeps them, read without a consumer group and without the gateway."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from agentmem.output import note
from schemas.inbound import InboundEvent, decode_event
from schemas.problems import MisconfiguredError, StoreUnavailableError
from streams.security import client_options
from streams.settings import CLIENT_MAX_BYTES, KafkaSettings
from streams.topics import Topics, missing_topics

#: Where reading begins: at the first record kept, behind the last, or at the first one from this moment on.
Start = Literal["beginning", "end"] | datetime

_POLL_MS: Final = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: of a project, of all of these ids, of one of these types; what is empty matches any."""

    project: str | None = None
    ids: dict[str, str] = field(default_factory=dict)
    types: frozenset[str] = frozenset()

    def matches(self, event: InboundEvent) -> bool:
        return (
            self.project in (None, event.body.project)
            and (not self.types or event.type.value.rpartition(".")[2] in self.types)
            and self.ids.items() <= event.ids.items()
        )


async def read_events(
    settings: KafkaSettings, start: Start, wanted: Wanted, *, follow: bool
) -> AsyncGenerator[InboundEvent, None]:
    """The events from ``start`` to what is there now, or with ``follow`` for ever; in order within a scope.

    Raises ``StoreUnavailableError`` when Kafka does not answer, ``MisconfiguredError`` without the topic.
    """
    topic = Topics.of(settings).events
    if topic in await missing_topics(settings):
        raise MisconfiguredError(f"Kafka has no topic {topic}: run 'agentmem topics', or check kafka.topic_prefix")
    consumer = AIOKafkaConsumer(
        topic,
        **client_options(settings),
        request_timeout_ms=int(settings.request_timeout_s * 1000),
        max_partition_fetch_bytes=CLIENT_MAX_BYTES,
        auto_offset_reset="earliest",
    )
    try:
        await consumer.start()
        ends = await _position(consumer, start)
        async for record in _as_they_come(consumer) if follow else _by_time(consumer, ends):
            event = _decoded(record)
            if event is not None and wanted.matches(event):
                yield event
    except KafkaError as error:
        raise StoreUnavailableError("Kafka", f"{settings.bootstrap_servers}: {error!r}") from error
    finally:
        await consumer.stop()


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
            for partition, part in (await consumer.getmany(*unknown, timeout_ms=_POLL_MS)).items():
                waiting[partition] += [record for record in part if record.offset < ends[partition]]
            continue
        shown = [records for records in waiting.values() if records]
        if not shown:
            return
        yield min(shown, key=lambda records: records[0].timestamp).popleft()


def _decoded(record: ConsumerRecord) -> InboundEvent | None:
    try:
        return decode_event(record.key, record.value, record.headers)
    except ValueError as error:
        note(f"{record.topic}/{record.partition}/{record.offset} is no event: {error}")
        return None
