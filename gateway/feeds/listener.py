"""The one Kafka consumer of a gateway: it reads all event partitions, for waiting calls and live streams."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from gateway.feeds.inbound import Arrival, Positions
from infra.telemetry.metrics import EVENTS_RECEIVED, EVENTS_UNREADABLE
from schemas.inbound import decode_event
from schemas.problems import StoreUnavailableError
from streams.consumers import make_consumer, poll
from streams.settings import CLIENT_MAX_BYTES, KafkaSettings
from streams.topics import partition_counts

log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0


class EventListener:
    """Reads ``memory-events`` without a group, from its end, and gives each event to ``deliver``.

    After a lost connection it goes on where it stopped, so that waiting calls and streams miss nothing.
    Records are decoded only while ``wanted`` says that someone is there.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        deliver: Callable[[Arrival], None],
        wanted: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._deliver = deliver
        self._wanted = wanted
        self._next: list[int] = []
        self._positioned = False

    async def run(self) -> None:
        """Read until cancelled, connecting again whenever that is needed."""
        while True:
            try:
                await self._session()
            except (KafkaError, StoreUnavailableError) as error:
                log.warning("the event topic cannot be read, trying again: %s", error)
            await asyncio.sleep(_RETRY_S)

    @property
    def positioned(self) -> bool:
        """Whether no event that is written from now on can be missed."""
        return self._positioned

    @property
    def positions(self) -> Positions:
        """How far each partition was read: all before that was delivered."""
        return tuple(self._next)

    async def _session(self) -> None:
        consumer = make_consumer(
            self._settings,
            max_partition_fetch_bytes=CLIENT_MAX_BYTES,
            enable_auto_commit=False,
            # Met only when the position has gone: topics made anew or cut back. Then nothing may be skipped.
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            partitions = await self._partitions()
            await self._position(consumer, partitions)
            self._positioned = True
            # More partitions than were assigned: start again, so that the new ones are read too.
            while len(consumer.partitions_for_topic(self._topic) or ()) <= partitions:
                records, _ = await poll(consumer)
                for record in records:
                    self._receive(record)
        finally:
            self._positioned = False
            await consumer.stop()

    async def _partitions(self) -> int:
        count = (await partition_counts(self._settings)).get(self._topic)
        if count is None:
            raise StoreUnavailableError("Kafka", f"topic {self._topic} is missing: run 'agentmem topics'")
        return count

    async def _position(self, consumer: AIOKafkaConsumer, number: int) -> None:
        partitions = [TopicPartition(self._topic, partition) for partition in range(number)]
        if not self._next:
            ends = await consumer.end_offsets(partitions)
            self._next = [ends[partition] for partition in partitions]
        self._next += [0] * (number - len(self._next))
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, self._next[partition.partition])

    def _receive(self, record: ConsumerRecord) -> None:
        self._next[record.partition] = record.offset + 1
        EVENTS_RECEIVED.inc()
        if not self._wanted():
            return
        try:
            event = decode_event(record.key, record.value, record.headers)
        except ValueError as error:
            EVENTS_UNREADABLE.inc()
            log.warning("record %s/%s of %s is no event: %s", record.partition, record.offset, record.topic, error)
            return
        self._deliver(Arrival(event, record.partition, record.offset, self.positions))
