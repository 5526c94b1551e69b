"""The one Kafka consumer of a gateway: it reads all event partitions, for waiting calls and live streams."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import chain
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from gateway.inbound import InboundEvent, decode_event
from gateway.metrics import EVENTS_RECEIVED, EVENTS_UNREADABLE
from schemas.problems import StoreUnavailableError
from streams.settings import CLIENT_MAX_BYTES, KafkaSettings

log = logging.getLogger(__name__)

_POLL_MS: Final = 500
_RECORDS_PER_POLL: Final = 500
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
        deliver: Callable[[InboundEvent], None],
        wanted: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._deliver = deliver
        self._wanted = wanted
        self._next: dict[TopicPartition, int] = {}
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

    async def _session(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap_servers,
            request_timeout_ms=int(self._settings.request_timeout_s * 1000),
            max_partition_fetch_bytes=CLIENT_MAX_BYTES,
            enable_auto_commit=False,
            # Met only when the position has gone: topics made anew or cut back. Then nothing may be skipped.
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            numbers = await self._partitions()
            await self._position(consumer, [TopicPartition(self._topic, number) for number in numbers])
            self._positioned = True
            # More partitions than were assigned: start again, so that the new ones are read too.
            while (consumer.partitions_for_topic(self._topic) or numbers) <= numbers:
                batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS_PER_POLL)
                for record in chain.from_iterable(batches.values()):
                    self._receive(record)
        finally:
            self._positioned = False
            await consumer.stop()

    async def _partitions(self) -> set[int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.bootstrap_servers)
        try:
            await admin.start()
            # All topics are asked for: asking for one that is missing would make it where Kafka is set so.
            topics = {topic["topic"]: topic for topic in await admin.describe_topics()}
        finally:
            await admin.close()
        if self._topic not in topics:
            raise StoreUnavailableError("Kafka", f"topic {self._topic} is missing: run 'agentmem topics'")
        return {partition["partition"] for partition in topics[self._topic]["partitions"]}

    async def _position(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        first = not self._next
        consumer.assign(partitions)
        for partition in partitions:
            if first:
                self._next[partition] = (await consumer.end_offsets([partition]))[partition]
            consumer.seek(partition, self._next.setdefault(partition, 0))

    def _receive(self, record: ConsumerRecord) -> None:
        self._next[TopicPartition(record.topic, record.partition)] = record.offset + 1
        EVENTS_RECEIVED.inc()
        if not self._wanted():
            return
        try:
            event = decode_event(record.key, record.value, record.headers)
        except ValueError as error:
            EVENTS_UNREADABLE.inc()
            log.warning("record %s/%s of %s is no event: %s", record.partition, record.offset, record.topic, error)
            return
        self._deliver(event)
