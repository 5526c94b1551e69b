"""Catch-up readers: a Kafka consumer for one resuming stream, until it is as far as the live ones."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from gateway.feeds.hub import TOO_SLOW, StreamEndedError
from gateway.feeds.inbound import Positions, widened
from gateway.feeds.places import Places
from gateway.http.problems import ApiError
from gateway.settings_feeds import FeedSettings
from infra.telemetry.metrics import CATCH_UPS, FEEDS_CUT_OFF
from schemas.problems import StoreUnavailableError
from streams.consumers import POLL_MS, make_consumer, poll
from streams.settings import CLIENT_MAX_BYTES, KafkaSettings
from streams.topics import partition_counts

_NOTHING_COMES: Final = "nothing comes of what is still to be read of the event topic"
_GONE: Final = "The events after this cursor are no longer kept: start again with from=beginning or from=now."


class CatchUp:
    """Reads the event topic from ``positions`` on. Close it, or its place is never free again.

    ``goal``: how far it must read at least, in partitions that this gateway's listener may not know.
    ``patience_s``: how long nothing may come while there is more.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        topic: str,
        positions: Positions,
        goal: Positions,
        max_s: float,
        patience_s: float,
        give_place_free: Callable[[], None],
    ) -> None:
        self.positions = positions
        self.goal = goal
        self.records: deque[ConsumerRecord] = deque()
        self._consumer = consumer
        self._topic = topic
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + max_s
        self._patience_s = patience_s
        self._waited_s = 0.0
        self._give_place_free = give_place_free

    def check_deadline(self) -> None:
        """Raises ``StreamEndedError`` for a reader that has had its place for too long.

        ``StoreUnavailableError`` where it is Kafka that keeps it waiting.
        """
        if self._loop.time() > self._deadline:
            if self._waited_s:
                raise StoreUnavailableError("Kafka", _NOTHING_COMES)
            FEEDS_CUT_OFF.inc()
            raise StreamEndedError(TOO_SLOW, cut_off=True)

    async def fetch(self) -> None:
        """Wait a moment for more records, which must be there.

        Raises ``StreamEndedError``, and ``StoreUnavailableError``.
        """
        # aiokafka fetches again and again, and says nothing, while Kafka is away.
        if self._waited_s > self._patience_s:
            raise StoreUnavailableError("Kafka", _NOTHING_COMES)
        began = self._loop.time()
        try:
            records, _ = await poll(self._consumer)
        except OffsetOutOfRangeError as error:
            raise StreamEndedError(_GONE, cut_off=True) from error
        except KafkaError as error:
            raise StoreUnavailableError("Kafka", repr(error)) from error
        finally:
            # No more than it waits: a gateway that stood still has not waited for Kafka.
            self._waited_s += min(self._loop.time() - began, POLL_MS / 1_000)
        self.records.extend(records)
        if self.records:
            self._waited_s = 0.0

    def go_on_from(self, positions: Positions) -> None:
        """Fetch from ``positions`` on, in all partitions that these have."""
        _seek(self._consumer, self._topic, positions)

    async def close(self) -> None:
        """Disconnect and give the place free."""
        self._give_place_free()
        await self._consumer.stop()


class CatchUps:
    """The gateway's catch-up readers, so many at most."""

    def __init__(self, kafka: KafkaSettings, topic: str, settings: FeedSettings) -> None:
        self._kafka = kafka
        self._topic = topic
        self._settings = settings
        self._places = Places(CATCH_UPS)

    async def open(self, project: str, start: Positions | None, partitions: int) -> CatchUp:
        """A reader from ``start`` on, None for the beginning of what is kept.

        Raises ``ApiError``: 503 when there is no place, 410 when the log no longer has what follows ``start``.
        """
        settings = self._settings
        shortage = self._places.shortage(project, settings.catch_ups_max, settings.feeds_project_share)
        if shortage:
            raise ApiError(
                503,
                "too_many_catch_ups",
                f"Too many streams are catching up with the past: {shortage}. Try again in a moment.",
                headers={"Retry-After": "5"},
            )
        consumer = make_consumer(
            self._kafka,
            max_partition_fetch_bytes=CLIENT_MAX_BYTES,
            enable_auto_commit=False,
            auto_offset_reset="none",
        )
        self._places.take(project)
        try:
            await consumer.start()
            positions, goal = await self._start(consumer, start, partitions)
        except BaseException as error:
            self._places.free(project)
            await consumer.stop()
            if isinstance(error, KafkaError):
                raise StoreUnavailableError("Kafka", repr(error)) from error
            raise
        free = partial(self._places.free, project)
        patience_s = self._kafka.request_timeout_s
        return CatchUp(consumer, self._topic, positions, goal, settings.catch_up_max_s, patience_s, free)

    async def _start(
        self, consumer: AIOKafkaConsumer, start: Positions | None, known: int
    ) -> tuple[Positions, Positions]:
        """Where it begins, and how far partitions reach that the listener does not know."""
        partitions = known
        if start is not None and len(start) > known:
            # Another gateway made it, which knew before this one that there are more.
            partitions = (await partition_counts(self._kafka)).get(self._topic, 0)
        log = [TopicPartition(self._topic, number) for number in range(partitions)]
        begin, end = await consumer.beginning_offsets(log), await consumer.end_offsets(log)
        if start is None:
            start = tuple(begin[partition] for partition in log)
        start = widened(start, partitions)
        if len(start) > partitions or any(
            not begin[partition] <= position <= end[partition]
            for partition, position in zip(log, start, strict=True)
        ):
            raise ApiError(410, "cursor_expired", _GONE)
        _seek(consumer, self._topic, start)
        return start, (0,) * known + tuple(end[partition] for partition in log[known:])


def _seek(consumer: AIOKafkaConsumer, topic: str, positions: Positions) -> None:
    log = [TopicPartition(topic, number) for number in range(len(positions))]
    # Without a wait in between: a partition without a position would be looked for one.
    consumer.assign(log)
    for partition, position in zip(log, positions, strict=True):
        consumer.seek(partition, position)
