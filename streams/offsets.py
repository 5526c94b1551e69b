"""Setting the workers' group to another place in the request topic, while it has no members."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, UnknownMemberIdError

from schemas.problems import MisconfiguredError
from streams.consumers import open_consumer
from streams.inspection import read_group
from streams.lag import LagReader
from streams.settings import KafkaSettings
from streams.topics import Topics

_WITHOUT_MEMBERS = ("Empty", "Dead")


async def offsets_at(settings: KafkaSettings, start: datetime | None) -> dict[int, int]:
    """By partition, the first record from that time on; the first one that is kept when None. Raises as reset."""
    async with LagReader(settings) as reader:
        now = await reader.read()
    if start is None:
        return dict(now.begin)
    topic = Topics.of(settings).requests
    moment = int(start.timestamp() * 1000)
    async with open_consumer(settings) as consumer:
        found = await consumer.offsets_for_times({TopicPartition(topic, number): moment for number in now.end})
    return {one.partition: place.offset if place else now.end[one.partition] for one, place in found.items()}


async def reset(settings: KafkaSettings, offsets: Mapping[int, int]) -> None:
    """Let the group read on from these offsets.

    Raises ``StoreUnavailableError``, and ``MisconfiguredError`` while the group has members: they would commit
    over it. Kafka itself refuses it, too, should one join in the meantime.
    """
    group = await read_group(settings)
    if group.state not in _WITHOUT_MEMBERS:
        raise MisconfiguredError(
            f"the group {settings.group} has {group.members} members ({group.state}): stop all workers first"
        )
    topic = Topics.of(settings).requests
    partitions = {TopicPartition(topic, number): offset for number, offset in offsets.items()}
    async with open_consumer(settings, group_id=settings.group, enable_auto_commit=False) as consumer:
        consumer.assign(list(partitions))
        try:
            await consumer.commit(partitions)
        except (CommitFailedError, UnknownMemberIdError) as error:
            raise MisconfiguredError(
                f"the group {settings.group} has a member by now: stop all workers"
            ) from error
