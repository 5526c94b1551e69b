"""Kafka as a test sees it: plain records in, whole topics out, and how far the group has come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from streams.records import Record
from tests.harness.system import System
from tests.harness.waiting import eventually

Headers = Sequence[tuple[str, bytes]]
_CLIENT_MAX_BYTES = 5 * 1024 * 1024
#: Longer than Kafka is away in any test.
_PUBLISH_WITHIN_MS = 120_000


@dataclass(frozen=True)
class Message:
    """A record that a producer sends."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


Publish = Callable[[Iterable[Message]], Awaitable[None]]


@asynccontextmanager
async def publisher(system: System) -> AsyncIterator[Publish]:
    """A producer as any other: it sends records in order, and returns when Kafka has them all.

    What Kafka acknowledges is noted in ``system.acknowledged``, whatever becomes of the rest.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=system.kafka.bootstrap_servers,
        acks="all",
        max_request_size=_CLIENT_MAX_BYTES,
        linger_ms=5,
        request_timeout_ms=_PUBLISH_WITHIN_MS,
    )

    async def publish(messages: Iterable[Message]) -> None:
        sent = []
        for m in messages:
            one = await producer.send(system.topics.requests, m.value, m.key, headers=list(m.headers))
            one.add_done_callback(partial(system.acknowledged.note, m.key, m.value, m.headers))
            sent.append(one)
        await asyncio.gather(*sent)

    try:
        await producer.start()
        yield publish
    finally:
        await producer.stop()


async def publish(system: System, messages: Iterable[Message]) -> None:
    """Send records and wait until Kafka has them."""
    async with publisher(system) as send:
        await send(messages)


async def read_topic(system: System, topic: str) -> list[Record]:
    """Everything that the topic holds now, in log order within each partition."""
    records: list[Record] = []
    async with _consumer(system) as consumer:
        partitions = await _partitions(consumer, topic)
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for batch in (await consumer.getmany(timeout_ms=1000)).values():
                records += [
                    Record(r.topic, r.partition, r.offset, r.timestamp / 1000, r.key, r.value, tuple(r.headers))
                    for r in batch
                ]
    return records


async def committed(system: System) -> dict[int, int]:
    """The offset that the group has committed for each partition; partitions without one are missing."""
    async with _admin(system) as admin:
        offsets = await admin.list_consumer_group_offsets(system.kafka.group)
    topic = system.topics.requests
    return {tp.partition: meta.offset for tp, meta in offsets.items() if tp.topic == topic and meta.offset >= 0}


@dataclass(frozen=True)
class Offsets:
    """How far the group has come in each partition of the request topic, and where they end."""

    committed: Mapping[int, int]
    ends: Mapping[int, int]

    def lag(self, partition: int) -> int:
        return self.ends[partition] - self.committed[partition]


async def offsets(system: System) -> Offsets:
    """The group's offsets now."""
    done = await committed(system)
    async with _consumer(system) as consumer:
        found = await consumer.end_offsets(await _partitions(consumer, system.topics.requests))
    ends = {partition.partition: end for partition, end in found.items()}
    return Offsets({partition: done.get(partition, 0) for partition in ends}, ends)


async def lag(system: System) -> int:
    """Records of the request topic that the group has not committed."""
    now = await offsets(system)
    return sum(map(now.lag, now.ends))


async def caught_up(system: System, within_s: float) -> None:
    """Wait until the group has committed everything; fail at once when no worker is left to do it."""

    async def done() -> bool:
        running = [worker for worker in system.workers if worker.code is None]
        assert running, f"no worker is left\n{system.logs()}"
        return await lag(system) == 0

    await eventually(done, within_s, "the group has committed everything", system.logs)


async def group_state(system: System) -> tuple[str, set[str]]:
    """The group's state as Kafka calls it (``Stable``, ``Empty``, …), and the ids that it gave its members."""
    async with _admin(system) as admin:
        [response] = await admin.describe_consumer_groups([system.kafka.group])
    [(_, _, state, _, _, members, *_)] = response.groups
    return state, {id for id, *_ in members}


async def has_members(system: System, count: int, within_s: float = 120) -> None:
    """Wait until the group is stable with this many members; without any it is empty."""
    wanted = [("Stable", count)] if count else [("Empty", 0), ("Dead", 0)]

    async def there() -> bool:
        state, members = await group_state(system)
        return (state, len(members)) in wanted

    await eventually(there, within_s, f"{count} members in the group", system.logs)


async def remove_topic(system: System, topic: str) -> None:
    """Delete a topic; returns when it is gone. ``ensure_topics`` makes it anew."""
    async with _admin(system) as admin:
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await eventually(gone, 60, f"{topic} is gone")


async def rewind(system: System) -> None:
    """Set the group back to the beginning of the topic. No worker may run."""

    await has_members(system, 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=system.kafka.bootstrap_servers, group_id=system.kafka.group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = await _partitions(consumer, system.topics.requests)
        consumer.assign(partitions)
        await consumer.commit(dict.fromkeys(partitions, 0))
    finally:
        await consumer.stop()


@asynccontextmanager
async def _consumer(system: System) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=system.kafka.bootstrap_servers,
        enable_auto_commit=False,
        max_partition_fetch_bytes=_CLIENT_MAX_BYTES,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


@asynccontextmanager
async def _admin(system: System) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=system.kafka.bootstrap_servers)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    await consumer._client.force_metadata_update()
    await consumer._client.add_topic(topic)
    return [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
