"""Catch-up readers: a Kafka consumer for one resuming stream, until it is as far as the live ones."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import chain
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from gateway.feeds.hub import TOO_SLOW, StreamEndedError
from gateway.feeds.inbound import Positions
from gateway.http.problems import ApiError
from gateway.settings_feeds import FeedSettings
from infra.telemetry.metrics import CATCH_UPS, FEEDS_CUT_OFF
from schemas.problems import StoreUnavailableError
from streams.consumers import make_consumer
from streams.settings import CLIENT_MAX_BYTES, MIB, KafkaSettings

_POLL_MS: Final = 500
_RECORDS_PER_POLL: Final = 500
#: What a reader's consumer fetches ahead of it, at most.
_FETCH_BYTES: Final = 8 * MIB
_GONE: Final = "The events after this cursor are no longer kept: start again with from=beginning or from=now."


class CatchUp:
    """Reads the event topic from ``positions`` on. Close it, or its place is never free again."""

    def __init__(self, owner: CatchUps, consumer: AIOKafkaConsumer, positions: Positions, max_s: float) -> None:
        self.positions = positions
        self.records: deque[ConsumerRecord] = deque()
        self._owner = owner
        self._consumer = consumer
        self._deadline = asyncio.get_running_loop().time() + max_s

    async def fetch(self) -> None:
        """Wait a moment for more records. Raises ``StreamEndedError``, and ``StoreUnavailableError``."""
        if asyncio.get_running_loop().time() > self._deadline:
            FEEDS_CUT_OFF.inc()
            raise StreamEndedError(TOO_SLOW, cut_off=True)
        try:
            batches = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS_PER_POLL)
        except OffsetOutOfRangeError as error:
            raise StreamEndedError(_GONE, cut_off=True) from error
        except KafkaError as error:
            raise StoreUnavailableError("Kafka", repr(error)) from error
        self.records.extend(chain.from_iterable(batches.values()))

    async def close(self) -> None:
        """Disconnect and give the place free."""
        self._owner.count(-1)
        await self._consumer.stop()


class CatchUps:
    """The gateway's catch-up readers, so many at most."""

    def __init__(self, kafka: KafkaSettings, topic: str, settings: FeedSettings) -> None:
        self._kafka = kafka
        self._topic = topic
        self._settings = settings
        self._open = 0

    async def open(self, start: Positions | None, partitions: int) -> CatchUp:
        """A reader from ``start`` on, None for the beginning of what is kept.

        Raises ``ApiError``: 503 when all places are taken, 410 when the log no longer has what follows ``start``.
        """
        if self._open >= self._settings.catch_ups_max:
            raise ApiError(
                503,
                "too_many_catch_ups",
                "Too many streams are catching up with the past; try again in a moment.",
                headers={"Retry-After": "5"},
            )
        consumer = make_consumer(
            self._kafka,
            max_partition_fetch_bytes=CLIENT_MAX_BYTES,
            fetch_max_bytes=_FETCH_BYTES,
            enable_auto_commit=False,
            auto_offset_reset="none",
        )
        self.count(1)
        try:
            await consumer.start()
            positions = await self._seek(consumer, start, partitions)
        except BaseException as error:
            self.count(-1)
            await consumer.stop()
            if isinstance(error, KafkaError):
                raise StoreUnavailableError("Kafka", repr(error)) from error
            raise
        return CatchUp(self, consumer, positions, self._settings.catch_up_max_s)

    def count(self, change: int) -> None:
        """Take a place, or give it free."""
        self._open += change
        CATCH_UPS.set(self._open)

    async def _seek(self, consumer: AIOKafkaConsumer, start: Positions | None, partitions: int) -> Positions:
        log = [TopicPartition(self._topic, number) for number in range(partitions)]
        begin, end = await consumer.beginning_offsets(log), await consumer.end_offsets(log)
        if start is None:
            start = tuple(begin[partition] for partition in log)
        # Partitions that were added since then are read from their first record.
        start += (0,) * (partitions - len(start))
        if len(start) > partitions or any(
            not begin[partition] <= position <= end[partition]
            for partition, position in zip(log, start, strict=True)
        ):
            raise ApiError(410, "cursor_expired", _GONE)
        # Assigned only now: without a position each would be looked for one.
        consumer.assign(log)
        for partition, position in zip(log, start, strict=True):
            consumer.seek(partition, position)
        return start
