"""How far a consumer group is behind, seen from outside of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.problems import StoreUnavailableError
from streams.consumers import make_consumer
from streams.settings import KafkaSettings
from streams.topics import Topics, make_admin


@dataclass(frozen=True, slots=True)
class GroupOffsets:
    """By partition of a topic: the first and the next offset in the log, and what is committed."""

    begin: Mapping[int, int]
    end: Mapping[int, int]
    committed: Mapping[int, int]

    def position(self, partition: int) -> int:
        """Where the group reads on: behind what it committed, and behind what retention removed."""
        return max(self.committed.get(partition, 0), self.begin[partition])

    def lag(self, partition: int) -> int:
        """Records of a partition that are not committed."""
        return self.end[partition] - self.position(partition)

    @property
    def total(self) -> int:
        """Records that are not committed."""
        return sum(self.lag(partition) for partition in self.end)


class LagReader:
    """Reads a group's offsets without being a member: by default the workers' in the request topic.

    ``readable``: the log ends for it where a worker must wait, at the first transaction that is open. Connects
    when first used.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str | None = None,
        group: str | None = None,
        *,
        readable: bool = False,
    ) -> None:
        self._settings = settings
        self._topic = topic or Topics.of(settings).requests
        self._group = group or settings.group
        self._isolation = "read_committed" if readable else "read_uncommitted"
        self._consumer: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None
        self._lock = asyncio.Lock()

    async def read(self) -> GroupOffsets:
        """The offsets now; raises ``StoreUnavailableError`` when Kafka does not answer."""
        async with self._lock:
            try:
                if self._consumer is None or self._admin is None:
                    await self._connect()
                return await self._read()
            except KafkaError as error:
                # A fresh connection next time: this one may hold what is no longer true.
                await self.close()
                raise StoreUnavailableError("Kafka", repr(error)) from error

    async def _connect(self) -> None:
        self._consumer = make_consumer(self._settings, isolation_level=self._isolation)
        self._admin = make_admin(self._settings)
        await self._consumer.start()
        await self._admin.start()

    async def _read(self) -> GroupOffsets:
        assert self._consumer is not None
        assert self._admin is not None
        [topic] = await self._admin.describe_topics([self._topic])
        partitions = [TopicPartition(self._topic, one["partition"]) for one in topic["partitions"]]
        committed = await self._admin.list_consumer_group_offsets(self._group)
        begin = await self._consumer.beginning_offsets(partitions)
        end = await self._consumer.end_offsets(partitions)
        return GroupOffsets(
            begin={tp.partition: begin[tp] for tp in partitions},
            end={tp.partition: end[tp] for tp in partitions},
            committed={
                tp.partition: committed[tp].offset
                for tp in partitions
                if tp in committed and committed[tp].offset >= 0
            },
        )

    async def close(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        admin, self._admin = self._admin, None
        try:
            if consumer is not None:
                await consumer.stop()
        finally:
            if admin is not None:
                await admin.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
